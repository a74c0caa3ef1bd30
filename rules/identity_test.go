package rules

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// TestReimagedHostsHaveGoneAgents checks that the old agent of a host that was
// set up again is not missed, and that one that only shares its name stays.
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
	for _, a := range inventoryOf(t, whole, fleet.Query{}).Agents {
		got[a.ID] = a.Presence
	}
	if want := map[string]string{"kept": "alive", "twin": "alive", "old": "gone", "new": "alive", "other": "alive"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("agents are %v, expected %v", got, want)
	}
	f.expect()
}

// TestAlertsAboutClonesNameBothHosts: an alert about an agent id that takes
// turns names both hosts, also when a snapshot lies between their records.
func TestAlertsAboutClonesNameBothHosts(t *testing.T) {
	rules := ruleYAML(1, "change", "condition: has(agent.build.original)\nfield: agent.build.original\nreturns: 2\nwindow: 30m\nsuppress: 1h") +
		ruleYAML(2, "change", "field: host.name\nreturns: 2\nwindow: 2h\nsuppress: 2h")
	set := compileRules(t, dictionary(t), rules)
	f := newFeed(t, set, SessionOptions{})
	f.send(0, "agent.id", "clone", "agent.type", "x", "host.name", "WEB-01.example.com")
	f.send(time.Minute, "agent.id", "clone", "agent.type", "x", "host.name", "web-02")
	kept, _ := f.s.AppendSnapshot(nil)
	after := newFeed(t, set, SessionOptions{})
	if err := after.s.Restore(kept); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		after.send(time.Duration(i+2)*time.Minute, "agent.id", "clone", "agent.build.original", []string{"1", "2"}[i%2])
	}
	for i := range 4 {
		after.send(time.Duration(i+10)*time.Minute, "agent.id", "clone", "agent.type", "x", "host.name", []string{"web-01", "web-02"}[i%2])
	}
	if len(after.alerts) != 2 {
		t.Fatalf("%d alerts, want one of each rule: %v", len(after.alerts), after.bodies)
	}
	for i, want := range []string{`"hosts":["web-02","WEB-01.example.com"]`, `"hosts":["web-02","web-01"]`} {
		if n := strings.Count(after.bodies[i], want); n != 2 { // of the alert, and related
			t.Errorf("want both hosts as %s in %s", want, after.bodies[i])
		}
	}
}

// TestCloneLeavesListsOfHostsWhole: an agent id that takes turns between two
// hosts is always listed under the one that it was heard from last.
func TestCloneLeavesListsOfHostsWhole(t *testing.T) {
	f := newFeed(t, compileRules(t, dictionary(t), ruleYAML(1, "match", "condition: has(edr.state)")), SessionOptions{})
	beat := func(at time.Duration, id, host string) {
		f.send(at, "event.action", "sensor-heartbeat", "agent.id", id, "agent.type", "x", "host.name", host)
	}
	for i := range 20 {
		at := time.Duration(i) * time.Minute
		beat(at, "a", "srv-a")
		beat(at, "b", "srv-b")
		beat(at, "clone", []string{"srv-a", "srv-b"}[i%2])
	}
	for host, want := range map[string]int{"srv-a": 1, "srv-b": 2} {
		n := 0
		entities := reflect.ValueOf(f.s).Elem().FieldByName("entities").Elem()
		for e := entities.FieldByName("hosts").MapIndex(reflect.ValueOf(host)); e.IsValid() && !e.IsNil(); e = e.Elem().FieldByName("neighbor") {
			n++
		}
		if n != want {
			t.Errorf("%s has %d agents, want %d", host, n, want)
		}
	}
}
