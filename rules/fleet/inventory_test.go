package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// list is a roster of agents.
type list []*Agent

func (l list) Agents(yield func(*Agent) bool) {
	for _, a := range l {
		if !yield(a) {
			return
		}
	}
}

func inventoryOf(rosters ...Roster) *Fleet {
	f := New(DefaultConfig(), nil)
	for _, r := range rosters {
		f.Enlist(r)
	}
	return f
}

func TestPagesOfTheInventoryHoldEveryAgentOnce(t *testing.T) {
	var one, other list
	for i := range 250 {
		a := &Agent{ID: fmt.Sprint("id", i), HostName: fmt.Sprint("host", i/2), Type: "a", LastSeen: int64(i)}
		if i%3 == 0 {
			one = append(one, a)
		} else {
			other = append(other, a)
		}
	}
	f := inventoryOf(&one, &other, &list{{HostName: "no-agent"}})
	seen, last := map[string]bool{}, ""
	q := Query{Limit: 40}
	for pages := 1; ; pages++ {
		page := pageOf(t, f, q)
		if page.Total != 250 {
			t.Fatalf("page %d: total %d, expected 250", pages, page.Total)
		}
		for _, a := range page.Agents {
			if seen[a.ID] || a.cursor() <= last {
				t.Fatalf("page %d: %s comes again or out of order", pages, a.ID)
			}
			seen[a.ID], last = true, a.cursor()
		}
		if q.After = page.Next; q.After == "" {
			if pages != 7 {
				t.Errorf("%d pages, expected 7", pages)
			}
			break
		}
	}
	if len(seen) != 250 {
		t.Errorf("%d agents on all pages, expected 250", len(seen))
	}
	if all := pageOf(t, f, Query{}); len(all.Agents) != 250 || all.Next != "" {
		t.Errorf("without a limit: %d agents, next %q", len(all.Agents), all.Next)
	}
}

func TestInventorySelects(t *testing.T) {
	agents := list{
		{ID: "1", Type: "a", Ring: "prod", Version: "7.17.2", Mode: "kernel", State: "protecting", life: alive, channels: []channel{{name: "291", version: "32"}}},
		{ID: "2", Type: "a", Ring: "prod", Version: "7.17.2", Mode: "kernel", State: "protecting", life: alive, channels: []channel{{name: "291", version: "32"}}},
		{ID: "3", Type: "a", Ring: "prod", Version: "7.9.9", Mode: "user", State: "reduced", life: silent},
		{ID: "4", Type: "a", Ring: "prod", Version: "7.17.2", life: alive, channels: []channel{{name: "291", version: "31"}}},
		{ID: "5", Type: "a", Ring: "canary", Version: "7.18.0", life: alive},
		{ID: "6", Type: "b", Version: "1", Protected: No, Account: "root", StartType: "auto"},
	}
	f := inventoryOf(&agents)
	for _, c := range []struct {
		q    Query
		want string
	}{
		{Query{Product: "A"}, "12345"},
		{Query{Mode: "kernel"}, "12"},
		{Query{Mode: "none"}, "456"},
		{Query{State: "reduced", Presence: "silent"}, "3"},
		{Query{Ring: "canary"}, "5"},
		{Query{Behind: true}, "34"},
		{Query{Version: "7.17.2", Behind: true}, "4"},
		{Query{Presence: "unknown"}, "6"},
	} {
		got := ""
		for _, a := range pageOf(t, f, c.q).Agents {
			got += a.ID
		}
		if got != c.want {
			t.Errorf("%+v selects %s, expected %s", c.q, got, c.want)
		}
	}
	sum := summaryOf(t, f, Query{Product: "a"})
	if sum.Agents != 5 || sum.Behind != 2 {
		t.Errorf("summary: %d agents, %d behind, expected 5 and 2", sum.Agents, sum.Behind)
	}
	if got := fmt.Sprint(sum.Tables[0]); got != "{[product mode] [{[a ] 2} {[a kernel] 2} {[a user] 1}] 0}" {
		t.Errorf("modes: %s", got)
	}
	if got := fmt.Sprint(summaryOf(t, f, Query{Product: "b"}).Tables[4].Counts); got != "[{[b root auto false] 1}]" {
		t.Errorf("privileges: %s", got)
	}
	f.Dismiss(&agents)
	if n := pageOf(t, f, Query{}).Total; n != 0 {
		t.Errorf("%d agents of a roster that left", n)
	}
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"7.9", "7.17", true}, {"7.17", "7.9", false}, {"7.17", "7.17.1", true}, {"7.17", "7.17", false}, {"", "1", false}, {"1", "", false},
		{"1.2-rc1", "1.2-rc2", true}, {"007", "7", false}, {"99999999999999999999998", "99999999999999999999999", true},
	} {
		if got := older(c.a, c.b); got != c.want {
			t.Errorf("older(%q, %q) is %v", c.a, c.b, got)
		}
	}
}

func TestInventoryTellsPresence(t *testing.T) {
	w := newWorld(t, 20, 1, 1)
	roster := list(w.agents)
	w.fleet.Enlist(&roster)
	w.run(30*time.Minute, func(int) bool { return false })
	w.run(10*time.Minute, func(i int) bool { return i == 3 })
	for _, a := range pageOf(t, w.fleet, Query{}).Agents {
		want := "alive"
		if a.ID == "agent-3" {
			want = "silent"
		}
		if a.Presence != want || a.Cadence < 119 || a.Cadence > 121 {
			t.Errorf("%s is %s with cadence %v, expected %s and 120", a.ID, a.Presence, a.Cadence, want)
		}
	}
}

func pageOf(t *testing.T, f *Fleet, q Query) Page {
	t.Helper()
	page, err := f.Inventory(t.Context(), q)
	if err != nil {
		t.Error(err)
	}
	return page
}

func summaryOf(t *testing.T, f *Fleet, q Query) Summary {
	t.Helper()
	sum, err := f.Summarize(t.Context(), q)
	if err != nil {
		t.Error(err)
	}
	return sum
}

// TestAnswersOfSeveralGatewaysAreOne asks two gateways that know an agent each
// of which the partition changed hands, page by page.
func TestAnswersOfSeveralGatewaysAreOne(t *testing.T) {
	var here, there list
	for i := range 100 {
		a := &Agent{ID: fmt.Sprint("id", i), HostName: fmt.Sprintf("host%03d", i), Type: "a", Ring: []string{"one", "two"}[i%2], LastSeen: int64(i)}
		if i < 10 || i%3 == 0 {
			here = append(here, a)
		} else {
			there = append(there, a)
		}
	}
	moved := *here[0]
	moved.LastSeen, moved.Version = int64(time.Hour), "2"
	there = append(there, &moved)
	one, two := inventoryOf(&here), inventoryOf(&there)
	var got []string
	q := Query{Limit: 7}
	for {
		a, b := pageOf(t, one, q), pageOf(t, two, q)
		a.Coverage = Coverage{Gateway: "a", Partial: true, Partitions: []TopicShare{{"t", []int32{0, 2}, 4}}}
		b.Coverage = Coverage{Gateway: "b", Partial: true, Partitions: []TopicShare{{"t", []int32{1}, 4}, {"u", []int32{0}, 1}}}
		page := MergePages(q.Limit, a, b)
		if page.Total != 101 || !page.Partial || page.Gateway != "" || fmt.Sprint(page.Missing()) != "[3 of 4 partitions of t]" || len(page.Agents) > q.Limit {
			t.Fatalf("page %+v", page)
		}
		for _, r := range page.Agents {
			got = append(got, r.ID)
			if r.ID == "id0" && r.Version != "2" {
				t.Errorf("the agent that moved is %+v", r)
			}
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	if len(got) != 100 || !slices.IsSortedFunc(got, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }) {
		t.Errorf("%d agents: %v", len(got), got)
	}
	sum := MergeSummaries(summaryOf(t, one, Query{}), summaryOf(t, two, Query{}))
	if sum.Agents != 101 || fmt.Sprint(sum.Tables[3].Counts) != "[{[a unknown] 101}]" || sum.Partial {
		t.Errorf("summary %+v", sum)
	}
}

func TestNobodyWaitsForTheInventory(t *testing.T) {
	f := inventoryOf(&list{{ID: "1", Type: "a"}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Inventory(ctx, Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Inventory: %v", err)
	}
	if _, err := f.Summarize(ctx, Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Summarize: %v", err)
	}
}
