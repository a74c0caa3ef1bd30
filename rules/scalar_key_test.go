package rules

import (
	"testing"
	"time"
)

// TestScalarKeys groups by a number and counts the values of one.
func TestScalarKeys(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "value_count", "condition: event.action == \"error\"\ngroup_by: [destination.port]\nscope: fleet\nfield: process.pid\nwindow: 10m\nhaving: {gte: 2}"))
	f := newFeed(t, set, SessionOptions{})
	for i, event := range [][2]int{{443, 1}, {80, 2}, {443, 1}, {443, 3}} {
		f.send(time.Duration(i)*time.Minute, "event.action", "error", "agent.id", "a", "destination.port", event[0], "process.pid", event[1])
	}
	f.send(5*time.Minute, "event.action", "error", "agent.id", "a", "process.pid", 9)
	f.expect("3m10s firing rule 1 443 2")
}
