package rules

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// stops is a rule that counts stops of a host.
func stops(id int, name, note string, least int) string {
	return fmt.Sprintf(`---
id: 00000000-0000-4000-8000-%012d
name: %s
version: 1
kind: other
type: threshold
severity: low
risk_score: 15
maturity: beta
description: Counts stops.
note: %s
condition: event.action == "sensor-stopped"
window: 1h
having: {gte: %d}
`, id, name, note, least)
}

func names(f *feed) string {
	var list []string
	for _, a := range f.alerts {
		list = append(list, a["rule"].(map[string]any)["name"].(string))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestReloadKeepsTheStateOfUnchangedRules(t *testing.T) {
	dict := dictionary(t)
	before := compileRules(t, dict, stops(1, "kept", "a", 3)+stops(2, "changed", "a", 3)+stops(3, "removed", "a", 3))
	f := newFeed(t, before, SessionOptions{})
	for i := range 2 {
		f.send(time.Duration(i)*time.Minute, "event.action", "sensor-stopped", "agent.id", "a1")
	}
	// The files are in another order, the note of one rule and the bar of another differ.
	next := compileRules(t, dict, stops(4, "added", "a", 2)+stops(2, "changed", "a", 2)+stops(1, "kept", "b", 3)).Inherit(before)
	f.s.Reload(next, f.emit)
	f.send(3*time.Minute, "event.action", "sensor-stopped", "agent.id", "a1")
	if got := names(f); got != "kept" {
		t.Fatalf("after the third stop alerts of %q, want those of the rule that had seen the two before", got)
	}
	f.send(4*time.Minute, "event.action", "sensor-stopped", "agent.id", "a1")
	if got := names(f); got != "added changed kept" {
		t.Errorf("after the fourth stop alerts of %q", got)
	}
	var known []string
	for _, r := range next.Rules() {
		known = append(known, r.Name)
	}
	if slices.Sort(known); !slices.Equal(known, []string{"added", "changed", "kept"}) {
		t.Errorf("rules are %v", known)
	}
	f.s.Close()
	for _, c := range next.Counters() {
		if want := map[string]uint64{"kept": 4, "changed": 2, "added": 2}[c.Rule.Name]; c.Matches != want || c.Keys != 0 {
			t.Errorf("%s: %d matches and %d keys, want %d and none", c.Rule.Name, c.Matches, c.Keys, want)
		}
	}
}

func TestReloadManyTimesDoesNotGrow(t *testing.T) {
	dict := dictionary(t)
	set := compileRules(t, dict, stops(1, "kept", "a", 3))
	f := newFeed(t, set, SessionOptions{})
	for i := range 50 {
		set = compileRules(t, dict, stops(1, "kept", "a", 3)+stops(2, "edited", "a", i+2)).Inherit(set)
		f.s.Reload(set, f.emit)
		f.send(time.Duration(i)*time.Second, "event.action", "sensor-heartbeat", "agent.id", "a1")
	}
	if n := reflect.ValueOf(set).Elem().FieldByName("rules").Len(); n > 4 {
		t.Errorf("%d places for two rules", n)
	}
}

// TestReloadMidwayChangesNothing reloads the shipped library, unchanged, in the
// middle of the tests' streams.
func TestReloadMidwayChangesNothing(t *testing.T) {
	dict := dictionary(t)
	files, err := Parse(Library())
	if err != nil {
		t.Fatal(err)
	}
	play := func(reload bool) []string {
		set, err := files.Compile(dict)
		if err != nil {
			t.Fatal(err)
		}
		f := newFeed(t, set, SessionOptions{})
		for i := range 600 {
			at := time.Duration(i) * 20 * time.Second
			action := []string{"sensor-heartbeat", "sensor-stopped", "sensor-started", "tamper-attempt", "sensor-crashed"}[i*7%5]
			f.send(at, "event.action", action, "agent.id", fmt.Sprintf("a%d", i%5), "agent.type", "crowdstrike-falcon", "host.name", fmt.Sprintf("h%d", i%5), "host.type", "server")
			if reload && i%50 == 0 {
				again, err := files.Compile(dict)
				if err != nil {
					t.Fatal(err)
				}
				f.s.Reload(again.Inherit(f.s.Ruleset()), f.emit)
			}
		}
		return f.bodies
	}
	want, got := play(false), play(true)
	if len(want) == 0 || !slices.Equal(want, got) {
		t.Errorf("%d alerts without a reload, %d with", len(want), len(got))
	}
}

// status lists what alerts say, in order.
func statuses(f *feed) string {
	var list []string
	for _, a := range f.alerts {
		alert := a["edr"].(map[string]any)["alert"].(map[string]any)
		list = append(list, a["rule"].(map[string]any)["name"].(string)+" "+alert["status"].(string))
	}
	return strings.Join(list, ", ")
}

func TestReloadEndsTheAlertsOfRulesThatGo(t *testing.T) {
	dict := dictionary(t)
	before := compileRules(t, dict, stops(1, "kept", "a", 2)+stops(2, "changed", "a", 2)+stops(3, "removed", "a", 2))
	f := newFeed(t, before, SessionOptions{})
	for i := range 2 {
		f.send(time.Duration(i)*time.Minute, "event.action", "sensor-stopped", "agent.id", "a1", "host.name", "h1")
	}
	firing := f.alerts
	f.alerts = nil
	f.s.Reload(compileRules(t, dict, stops(2, "changed", "a", 3)+stops(1, "kept", "a", 2)).Inherit(before), f.emit)
	if got := statuses(f); got != "changed resolved, removed resolved" {
		t.Fatalf("the reload wrote %q", got)
	}
	id := func(a map[string]any) any { return a["edr"].(map[string]any)["alert"].(map[string]any)["id"] }
	if id(f.alerts[0]) != id(firing[1]) || id(f.alerts[1]) != id(firing[2]) {
		t.Error("the ends do not belong to the alerts that were open")
	}
	f.alerts = nil
	f.s.Reload(f.s.Ruleset(), f.emit)
	f.advance(3 * time.Hour)
	if got := statuses(f); got != "kept resolved" {
		t.Errorf("afterwards %q", got)
	}
}

func TestReloadKeepsTheStateOfARewordedRule(t *testing.T) {
	dict := dictionary(t)
	before := compileRules(t, dict, stops(1, "old", "a", 3))
	f := newFeed(t, before, SessionOptions{})
	send := func(minute int) {
		f.send(time.Duration(minute)*time.Minute, "event.action", "sensor-stopped", "agent.id", "a1")
	}
	send(0)
	send(1)
	reworded := strings.Replace(strings.Replace(stops(1, "new", "a", 3), "severity: low", "severity: high", 1), "risk_score: 15", "risk_score: 60", 1)
	f.s.Reload(compileRules(t, dict, reworded).Inherit(before), f.emit)
	send(2)
	if got := statuses(f); got != "new firing" {
		t.Fatalf("alerts %q, want one of the rule under its new name that knows the two stops before", got)
	}
	if got := f.alerts[0]["edr"].(map[string]any)["alert"].(map[string]any)["severity"]; got != "high" {
		t.Errorf("severity %v", got)
	}
}

func TestReloadWithAnotherListConcernsThoseThatUseIt(t *testing.T) {
	dict := dictionary(t)
	const lists = "---\nlist: bad_actions\nitems: [%s]\n---\nmacro: stopping\ncondition: event.action in bad_actions\n"
	using := strings.Replace(stops(1, "using", "a", 2), `event.action == "sensor-stopped"`, "stopping", 1)
	other := stops(2, "other", "a", 2)
	before := compileRules(t, dict, fmt.Sprintf(lists, "sensor-stopped")+using+other)
	f := newFeed(t, before, SessionOptions{})
	f.send(0, "event.action", "sensor-stopped", "agent.id", "a1")
	f.s.Reload(compileRules(t, dict, fmt.Sprintf(lists, "sensor-stopped, log-cleared")+using+other).Inherit(before), f.emit)
	f.send(time.Minute, "event.action", "sensor-stopped", "agent.id", "a1")
	if got := statuses(f); got != "other firing" {
		t.Errorf("alerts %q, want one of the rule that the list does not concern", got)
	}
}

func TestShadowThatTurnsLiveEndsNothingThatItDidNotBegin(t *testing.T) {
	dict := dictionary(t)
	shadow := strings.Replace(stops(1, "r", "a", 2), "type: threshold", "type: threshold\nstage: shadow", 1)
	before := compileRules(t, dict, shadow)
	f := newFeed(t, before, SessionOptions{})
	f.send(0, "event.action", "sensor-stopped", "agent.id", "a1")
	f.send(time.Minute, "event.action", "sensor-stopped", "agent.id", "a1")
	f.s.Reload(compileRules(t, dict, stops(1, "r", "a", 2)).Inherit(before), f.emit)
	f.advance(5 * time.Hour)
	if got := statuses(f); got != "" {
		t.Errorf("alerts %q of an episode without an alert", got)
	}
}
