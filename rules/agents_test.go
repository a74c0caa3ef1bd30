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
			whole.Inventory(fleet.Query{Limit: 3})
			whole.Summarize(fleet.Query{})
		}
	})
	for i := range 2000 {
		f.send(time.Duration(i)*time.Second, "agent.id", fmt.Sprint(i%10), "agent.type", "a", "host.name", fmt.Sprint("h", i%10), "event.action", "sensor-heartbeat",
			"edr.mode", "ebpf", "edr.privilege.account", "root", "edr.privilege.start_type", "auto", "edr.privilege.protected", true)
	}
	readers.Wait()
	page := whole.Inventory(fleet.Query{Mode: "ebpf"})
	if page.Total != 10 {
		t.Fatalf("%d agents, expected 10", page.Total)
	}
	a := page.Agents[0]
	if a.Host != "h0" || a.Account != "root" || a.StartType != "auto" || a.Protected == nil || !*a.Protected {
		t.Errorf("the record lacks what the events told: %+v", a)
	}
	f.s.Close()
	if n := whole.Inventory(fleet.Query{}).Total; n != 0 {
		t.Errorf("%d agents of a session that was closed", n)
	}
}
