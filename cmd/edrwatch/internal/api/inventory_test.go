package api

import (
	"encoding/csv"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// roll is an Inventory of two agents.
type roll struct{}

func (roll) Inventory(q fleet.Query) fleet.Page {
	agents := []fleet.Record{
		{ID: "1", Host: "=cmd", Product: "p", Mode: "kernel", Content: map[string]string{"291": "32", "290": "7"}},
		{ID: "2", Host: "h2", Product: "p", Mode: q.Mode},
	}
	if q.Limit == 1 && q.After == "" {
		return fleet.Page{Agents: agents[:1], Total: 2, Next: "h1\tp\t1"}
	}
	if q.After == "h1\tp\t1" {
		return fleet.Page{Agents: agents[1:], Total: 2}
	}
	return fleet.Page{Agents: agents, Total: 2}
}

func (roll) Summarize(fleet.Query) fleet.Summary { return fleet.Summary{Agents: 2} }

func TestInventoryIsAnswered(t *testing.T) {
	h := serve(t, nil)
	var page fleet.Page
	h.ask(t, "/api/v1/fleet/inventory?mode=ebpf", &page)
	if len(page.Agents) != 2 || page.Agents[1].Mode != "ebpf" {
		t.Errorf("found %+v", page)
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
