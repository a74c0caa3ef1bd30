package rules

import (
	"fmt"
	"testing"
	"time"
)

// TestFeedThatLagsSilencesNoAgentOfALivingHost: a host wakes up; its log comes
// at once and the heartbeats of its agent twenty minutes late, as those of all
// agents of the vendor do.
func TestFeedThatLagsSilencesNoAgentOfALivingHost(t *testing.T) {
	const about = "condition: event.action == \"sensor-heartbeat\"\nafter: 15m\nhost: up"
	const whole = "verdict: feed\nscope: pipeline"
	for lag, want := range map[time.Duration]int{0: 1, 20 * time.Minute: 0} {
		f := newFeed(t, compileRules(t, dictionary(t), ruleYAML(1, "silence", about)+ruleYAML(2, "silence", whole)), SessionOptions{})
		beat := func(at time.Duration, agent string, late time.Duration) {
			f.topic = "vendor"
			f.late(at, at-late, "event.action", "sensor-heartbeat", "agent.id", agent, "agent.type", "x", "host.name", agent)
		}
		for at := time.Hour; at < 4*time.Hour; at += time.Minute {
			for i := range 10 {
				beat(at, fmt.Sprintf("other%d", i), lag)
			}
			switch minutes := at.Minutes() - 60; {
			case minutes < 30:
				beat(at, "sleeper", lag)
			case minutes >= 120 && minutes < 138: // Awake again, and its vendor is late; or its agent is dead.
				f.topic = "log"
				f.send(at, "event.action", "other", "agent.id", "sleeper", "host.name", "sleeper")
			case minutes >= 138:
				beat(at, "sleeper", lag)
			}
		}
		fired := 0
		for _, a := range f.alerts {
			if a["rule"].(map[string]any)["name"] == "rule 1" {
				fired++
			}
		}
		if fired > 0 != (want > 0) {
			t.Errorf("a lag of %s: %d alerts, want %d", lag, fired, want)
		}
	}
}
