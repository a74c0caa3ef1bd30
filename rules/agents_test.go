package rules

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

func TestInventoryIsReadWhileEventsAreJudged(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "match", `condition: event.action == "tamper-attempt"`))
	whole := fleet.New(fleet.DefaultConfig(), nil)
	f := newFeed(t, set, SessionOptions{Fleet: whole})
	var readers sync.WaitGroup
	readers.Go(func() {
		for range 50 {
			inventoryOf(t, whole, fleet.Query{Limit: 3})
			summaryOf(t, whole, fleet.Query{})
		}
	})
	for i := range 2000 {
		f.send(time.Duration(i)*time.Second, "agent.id", fmt.Sprint(i%10), "agent.type", "a", "host.name", fmt.Sprint("h", i%10), "event.action", "sensor-heartbeat",
			"edr.mode", "ebpf", "edr.privilege.account", "root", "edr.privilege.start_type", "auto", "edr.privilege.protected", true)
	}
	readers.Wait()
	page := inventoryOf(t, whole, fleet.Query{Mode: "ebpf"})
	if page.Total != 10 {
		t.Fatalf("%d agents, expected 10", page.Total)
	}
	a := page.Agents[0]
	if a.Host != "h0" || a.Account != "root" || a.StartType != "auto" || a.Protected == nil || !*a.Protected {
		t.Errorf("the record lacks what the events told: %+v", a)
	}
	f.s.Close()
	if n := inventoryOf(t, whole, fleet.Query{}).Total; n != 0 {
		t.Errorf("%d agents of a session that was closed", n)
	}
}

func inventoryOf(tb testing.TB, f *fleet.Fleet, q fleet.Query) fleet.Page {
	tb.Helper()
	page, err := f.Inventory(tb.Context(), q)
	if err != nil {
		tb.Error(err)
	}
	return page
}

func summaryOf(tb testing.TB, f *fleet.Fleet, q fleet.Query) fleet.Summary {
	tb.Helper()
	sum, err := f.Summarize(tb.Context(), q)
	if err != nil {
		tb.Error(err)
	}
	return sum
}
