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
	return fleet.Summary{Agents: 2}, nil
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
	if sum.Agents != 2 {
		t.Errorf("found %+v", sum)
	}
	for query, want := range map[string]string{"presence=here": "alive, silent, gone, unknown", "format=xml": "json or csv", "limit=0": "1 to 50000", "mod=x": "did you mean mode"} {
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
