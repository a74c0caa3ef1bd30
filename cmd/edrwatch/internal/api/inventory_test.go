package api

import (
	"context"
	"encoding/csv"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// roll is an Inventory of two agents.
type roll struct{}

func (roll) Inventory(ctx context.Context, q fleet.Query) (fleet.Page, error) {
	if q.Host == "slow" {
		<-ctx.Done()
		return fleet.Page{}, ctx.Err()
	}
	agents := []fleet.Record{
		{ID: "1", Host: "=cmd", Product: "p", Mode: "kernel", Content: map[string]string{"291": "32", "290": "7"}},
		{ID: "2", Host: "h2", Product: "p", Mode: q.Mode},
	}
	if q.Limit == 1 && q.After == "" {
		return fleet.Page{Agents: agents[:1], Total: 2, Next: "h1\tp\t1"}, nil
	}
	if q.After == "h1\tp\t1" {
		return fleet.Page{Agents: agents[1:], Total: 2}, nil
	}
	return fleet.Page{Agents: agents, Total: 2}, nil
}

func (roll) Summarize(context.Context, fleet.Query) (fleet.Summary, error) {
	table := func(by string, counts ...fleet.Count) fleet.Table {
		return fleet.Table{By: strings.Fields(by), Counts: counts}
	}
	count := func(n int, values ...string) fleet.Count { return fleet.Count{Values: values, Agents: n} }
	return fleet.Summary{
		Agents: 427, Presence: map[string]int{"alive": 43, "silent": 384, "asleep": 0, "gone": 0, "unknown": 0}, Protecting: 41,
		Newest: time.Date(2024, 7, 19, 5, 30, 0, 0, time.UTC),
		Tables: []fleet.Table{
			table("product mode", count(300, "p", "kernel"), count(127, "q", "")),
			table("product ring version", count(300, "p", "canary", "7.1"), count(120, "q", "", ""), count(7, "q", "broad", "7.1")),
			table("product presence state", count(380, "p", "silent", "protecting"), count(41, "p", "alive", "protecting"), count(4, "p", "silent", ""), count(2, "q", "alive", "disabled")),
			table("product presence", count(384, "p", "silent"), count(43, "p", "alive")),
			table("product ring channel content", count(300, "p", "canary", "291", "32"), count(5, "p", "broad", "291", "32"), count(3, "p", "", "", "9")),
		},
	}, nil
}

func (r roll) List(ctx context.Context, q fleet.Query, by string, desc bool, offset int) ([]fleet.Record, int, error) {
	page, err := r.Inventory(ctx, fleet.Query{Host: q.Host})
	received := time.Date(2024, 7, 19, 4, 9, 0, 0, time.UTC)
	for i := range page.Agents {
		a := &page.Agents[i]
		a.Presence, a.State, a.StateLastKnown, a.Since = "silent", "protecting", true, &received
		a.LastContent = &fleet.ContentVersion{Channel: "291", Version: "32", Received: &received}
	}
	if offset > 0 || by != "" && by != "last_seen" || q.Presence != "" && q.Presence != "silent" || desc != (by == "last_seen") {
		return nil, page.Total, err
	}
	return page.Agents, page.Total, err
}

// TestFleetComesPresenceFirst: 384 of 427 are silent, and not one of them is said
// to protect its host.
func TestFleetComesPresenceFirst(t *testing.T) {
	h := serve(t, nil)
	body := h.ask(t, "/api/v1/fleet/summary", nil).Body.String()
	for _, want := range []string{
		`"agents":427`, `"newest":"2024-07-19T05:30:00Z"`, `"presence":[{"value":"alive","count":43},{"value":"silent","count":384}]`, `"protecting":41`,
		`"state":[{"value":"protecting","count":41},{"value":"disabled","count":2}]`, `"last_known_state":[{"value":"protecting","count":380},{"value":"","count":4}]`,
		`"type":[{"value":"p","count":427}]`, `"version":[{"value":"p 7.1","count":300},{"value":"q","count":120},{"value":"q 7.1","count":7}]`,
		`"mode":[{"value":"kernel","count":300},{"value":"","count":127}]`, `"content":[{"value":"291:32","count":305},{"value":"9","count":3}]`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the summary has no %s: %s", want, body)
		}
	}
	body = h.ask(t, "/api/v1/fleet?sort=last_seen&desc=true&presence=silent&limit=5", nil).Body.String()
	for _, want := range []string{`"presence":"silent"`, `"state":"protecting","state_last_known":true`, `"content":"291:32"`, `"since":"2024-07-19T04:09:00Z"`, `"total":2`} {
		if !strings.Contains(body, want) {
			t.Errorf("the list has no %s: %s", want, body)
		}
	}
}

func (roll) Coverage() fleet.Coverage {
	return fleet.Coverage{Gateway: "gw-1", Partial: true, Partitions: []fleet.TopicShare{{Topic: "edr.windows", Owned: []int32{0, 2}, Of: 4}}}
}

func TestInventoryIsAnswered(t *testing.T) {
	h := serve(t, func(c *DataConfig) { c.QueryTimeout = time.Second })
	var page fleet.Page
	h.ask(t, "/api/v1/fleet/inventory?mode=ebpf", &page)
	if len(page.Agents) != 2 || page.Agents[1].Mode != "ebpf" {
		t.Errorf("found %+v", page)
	}
	if !page.Partial || page.Gateway != "gw-1" || len(page.Partitions) != 1 || page.Partitions[0].Of != 4 {
		t.Errorf("coverage %+v", page.Coverage)
	}
	if w := h.ask(t, "/api/v1/fleet/inventory?host=slow", nil); w.Code != http.StatusServiceUnavailable {
		t.Errorf("a question that takes too long: %d %s", w.Code, w.Body)
	}
	var sum fleet.Summary
	h.ask(t, "/api/v1/fleet/inventory/summary", &sum)
	if sum.Agents != 427 || sum.Presence["silent"] != 384 {
		t.Errorf("found %+v", sum)
	}
	for query, want := range map[string]string{"presence=here": "alive, silent, asleep, gone, unknown", "format=xml": "json or csv", "limit=0": "1 to 50000", "mod=x": "did you mean mode"} {
		if w := h.ask(t, "/api/v1/fleet/inventory?"+query, nil); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

func TestInventoryAsCSV(t *testing.T) {
	h := serve(t, nil)
	request := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/api/v1/fleet/inventory?limit=1", nil)
	request.Header.Set("Accept", "text/csv")
	w := httptest.NewRecorder()
	h.data.ServeHTTP(w, request)
	if got := w.Header().Get("Edrwatch-Partial"); got != "2 of 4 partitions of edr.windows" {
		t.Errorf("Edrwatch-Partial: %q", got)
	}
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("%v: %d rows", err, len(rows))
	}
	if rows[1][1] != "'=cmd" || rows[1][13] != "290=7 291=32" {
		t.Errorf("row %q", rows[1])
	}
	if link := w.Header().Get("Link"); link != `</api/v1/fleet/inventory?after=h1%09p%091&limit=1>; rel="next"` {
		t.Errorf("link to the next page: %s", link)
	}
}
