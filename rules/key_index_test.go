package rules

import (
	"testing"
	"time"
)

// TestKeyOutlivesTheEvent makes sure that a table keeps a copy of a key whose
// bytes are the event's.
func TestKeyOutlivesTheEvent(t *testing.T) {
	f := newFeed(t, compileRules(t, dictionary(t), ruleYAML(1, "threshold", "group_by: [agent.version]\nscope: fleet\ncondition: has(agent.version)\nwindow: 10m\nhaving: {gte: 2}")), SessionOptions{})
	for _, version := range []string{"7.1", "7.2", "7.3", "7.1"} {
		f.send(0, "event.action", "sensor-heartbeat", "agent.id", "a", "agent.version", version)
	}
	f.advance(time.Minute)
	if got := len(f.alerts); got != 1 {
		t.Errorf("%d alerts, expected one about 7.1", got)
	}
}
