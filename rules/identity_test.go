package rules

import (
	"fmt"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// TestReimagedHostsHaveGoneAgents checks that the old agent of a host that was
// set up anew is not missed, and that one that only shares its name stays.
func TestReimagedHostsHaveGoneAgents(t *testing.T) {
	rule := ruleYAML(1, "silence", "verdict: cohort\nscope: cohort")
	whole := fleet.New(fleet.DefaultConfig(), nil)
	f := newFeed(t, compileRules(t, dictionary(t), rule), SessionOptions{Fleet: whole})
	beat := func(at time.Duration, id, host string) {
		f.send(at, "agent.id", id, "agent.type", "a", "host.name", host, "event.action", "sensor-heartbeat")
	}
	for m := time.Duration(0); m < 90*time.Minute; m += time.Minute {
		beat(m, "kept", "h0")
		beat(m, "twin", "h1")
		if m < 30*time.Minute {
			beat(m, "old", "h2")
		}
		if m >= 40*time.Minute {
			beat(m, "new", "h2.example.com")
			beat(m, "other", "h1") // Another host of that name.
		}
	}
	got := map[string]string{}
	for _, a := range whole.Inventory(fleet.Query{}).Agents {
		got[a.ID] = a.Presence
	}
	if want := map[string]string{"kept": "alive", "twin": "alive", "old": "gone", "new": "alive", "other": "alive"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("agents are %v, expected %v", got, want)
	}
	f.expect()
}
