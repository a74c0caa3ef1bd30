package rules

import (
	"fmt"
	"testing"
	"time"
)

// TestForgottenAgentLeavesOthersTheirNames knows fewer agents than there are:
// the one that takes a place keeps its own id, and not the host's name of the
// one before.
func TestForgottenAgentLeavesOthersTheirNames(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "match", `condition: event.action == "error"`))
	f := newFeed(t, set, SessionOptions{MaxKeys: 2})
	var want []string
	for i := range 5 {
		f.send(time.Duration(i)*time.Second, "event.action", "error", "agent.id", fmt.Sprintf("agent-%d", i), "agent.type", "x", "host.name", fmt.Sprintf("a-longer-name-%d", i))
		want = append(want, fmt.Sprintf("%ds firing rule 1 agent-%d 1", i, i))
	}
	f.expect(want...)
}
