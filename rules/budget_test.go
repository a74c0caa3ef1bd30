package rules

import (
	"strings"
	"testing"
	"time"
)

// The sampling of the engine: one candidate of so many is timed, and a rule
// needs so many samples before it may be found too dear.
const timedCandidates, neededSamples = 31, 64

// slowClock moves by a step whenever it is read.
func slowClock(step *time.Duration) func() time.Time {
	now := time.Unix(1_721_361_600, 0)
	return func() time.Time {
		now = now.Add(*step)
		return now
	}
}

func TestRuleOverItsBudgetTurnsShadowAndSaysSo(t *testing.T) {
	const rule = "condition: event.action == \"log-cleared\"\nbudget: 10us"
	set := compileRules(t, dictionary(t), ruleYAML(1, "match", rule))
	step := time.Microsecond
	f := newFeed(t, set, SessionOptions{Clock: slowClock(&step), Budget: time.Hour})
	at := time.Duration(0)
	send := func(n int) {
		for range n {
			at += time.Second
			f.send(at, "event.action", "log-cleared", "agent.id", "a1")
		}
	}
	send(timedCandidates * neededSamples * 2)
	if n := len(f.alerts); n != timedCandidates*neededSamples*2 {
		t.Fatalf("%d alerts within the budget, want one an event", n)
	}
	f.alerts = nil
	step = time.Millisecond
	send(timedCandidates * neededSamples)
	var notices int
	for _, a := range f.alerts {
		if strings.Contains(a["edr"].(map[string]any)["alert"].(map[string]any)["reason"].(string), "more than its budget of 10µs") {
			notices++
		}
	}
	if notices != 1 {
		t.Fatalf("%d documents say that the rule is too dear, want one", notices)
	}
	f.alerts = nil
	send(100)
	if len(f.alerts) != 0 {
		t.Errorf("%d alerts of a rule that is over its budget", len(f.alerts))
	}
	f.s.Reload(compileRules(t, dictionary(t), ruleYAML(1, "match", rule)).Inherit(set), f.emit)
	step = time.Microsecond
	send(1)
	if len(f.alerts) != 1 {
		t.Errorf("%d alerts after the rules were reloaded, want one", len(f.alerts))
	}
	f.s.Close()
	if c := f.s.Ruleset().Counters()[0]; c.Tripped != 1 || c.Nanoseconds == 0 {
		t.Errorf("counted %d trips and %d ns", c.Tripped, c.Nanoseconds)
	}
}

func TestRuleOverItsBudgetEndsTheAlertsThatItBegan(t *testing.T) {
	const rule = "condition: event.action == \"log-cleared\"\nbudget: 10us\nkeep_firing_for: 1h"
	set := compileRules(t, dictionary(t), ruleYAML(1, "match", rule))
	step := time.Millisecond
	f := newFeed(t, set, SessionOptions{Clock: slowClock(&step)})
	for i := range timedCandidates * neededSamples {
		f.send(time.Duration(i)*time.Second, "event.action", "log-cleared", "agent.id", "a1")
	}
	f.send(4*time.Hour, "event.action", "log-cleared", "agent.id", "a2")
	f.advance(6 * time.Hour)
	var got []string
	for _, a := range f.alerts {
		alert := a["edr"].(map[string]any)["alert"].(map[string]any)
		got = append(got, alert["key"].(string)+" "+alert["status"].(string))
	}
	if want := "a1 firing, budget firing, a1 resolved"; strings.Join(got, ", ") != want {
		t.Errorf("documents %q, want %q", strings.Join(got, ", "), want)
	}
}

func TestShadowRuleOverItsBudgetSaysSo(t *testing.T) {
	const rule = "condition: event.action == \"log-cleared\"\nbudget: 10us\nstage: shadow"
	step := time.Millisecond
	f := newFeed(t, compileRules(t, dictionary(t), ruleYAML(1, "match", rule)), SessionOptions{Clock: slowClock(&step)})
	for i := range timedCandidates * neededSamples {
		f.send(time.Duration(i)*time.Second, "event.action", "log-cleared", "agent.id", "a1")
	}
	if len(f.alerts) != 1 {
		t.Errorf("%d documents, want the one about the budget", len(f.alerts))
	}
}

func TestTimersAreTimeOfTheirRule(t *testing.T) {
	const rule = "condition: event.action == \"sensor-heartbeat\"\nafter: 10m"
	step := time.Microsecond
	set := compileRules(t, dictionary(t), ruleYAML(1, "silence", rule))
	f := newFeed(t, set, SessionOptions{Clock: slowClock(&step)})
	for i := range 4 * timedCandidates {
		f.send(time.Duration(i)*time.Millisecond, "event.action", "sensor-heartbeat", "agent.id", strings.Repeat("a", i+1))
	}
	f.s.Publish()
	before := set.Counters()[0].Nanoseconds
	for i := range 20 { // A gap would be the feed's.
		f.advance(time.Duration(i) * time.Minute)
	}
	f.s.Publish()
	if took := set.Counters()[0].Nanoseconds - before; took != 4*timedCandidates*1000 {
		t.Errorf("%d ns for %d timers of 1 µs", took, 4*timedCandidates)
	}
}
