package rules

import (
	"fmt"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// TestWhatHappensToHostsReachesTheirAgentsElsewhere: the log that names hosts is
// another topic than that of the sensors' cloud. A host that crashed counts
// against the version that its agent got, and one that was shut down is not
// silent, in one gateway and in a fleet of several.
func TestWhatHappensToHostsReachesTheirAgentsElsewhere(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "rollout", "scope: fleet")+ruleYAML(2, "silence", "verdict: cohort\nscope: cohort"))
	for _, gateways := range []int{1, 2} {
		sensors, logs, whole, exchange := twoFeeds(t, set, gateways)
		beat := func(at time.Duration, i int) {
			sensors.send(at, "agent.id", fmt.Sprint("a", i), "agent.type", "a", "host.name", fmt.Sprintf("HOST-%d.example.com", i), "host.type", "workstation", "event.action", "sensor-heartbeat")
		}
		const agents = 120
		down := func(m time.Duration, i int) bool { return m >= 60*time.Minute && i < 40 }
		for m := time.Duration(0); m < 100*time.Minute; m += time.Minute {
			for i := range agents {
				if !down(m, i) {
					beat(m+time.Duration(i)*time.Second/4, i)
				}
			}
			exchange()
			at := m + 40*time.Second
			logs.send(at, "host.name", "quiet", "event.action", "log-cleared")
			if m == 40*time.Minute {
				for i := 50; i < 80; i++ {
					sensors.send(at, "agent.id", fmt.Sprint("a", i), "agent.type", "a", "event.action", "content-updated", "event.outcome", "success", "edr.content.version", "2", "edr.content.channel", "291")
				}
			}
			for i := range 6 { // Of those that got it.
				if m == time.Duration(42+i)*time.Minute {
					logs.send(at, "host.name", fmt.Sprintf("host-%d", 50+i), "event.action", "host-crashed")
				}
			}
			if m == 59*time.Minute {
				for i := range 40 {
					logs.send(at, "host.name", fmt.Sprintf("host-%d", i), "event.action", "host-shutdown")
				}
			}
		}
		exchange()
		harmed := 0
		for _, r := range whole.Rollouts(fleet.DefaultPolicy()) {
			harmed = max(harmed, r.Comparison[fleet.Crash].With)
		}
		if harmed != 6 {
			t.Errorf("%d gateways: %d crashes are held against the version, want 6", gateways, harmed)
		}
		presences := map[string]int{}
		for _, a := range sensors.agents() {
			presences[a]++
		}
		if presences["asleep"] != 40 || presences["silent"] != 0 {
			t.Errorf("%d gateways: agents are %v, want the 40 of hosts that were shut down to be asleep", gateways, presences)
		}
	}
}

// agents are the presences that are told of the session's agents.
func (f *feed) agents() (list []string) {
	one := fleet.New(fleet.DefaultConfig(), nil)
	one.Enlist(f.s)
	for _, a := range inventoryOf(f.tb, one, fleet.Query{}).Agents {
		list = append(list, a.Presence)
	}
	return list
}

// twoFeeds are two partitions of one gateway, or of one each that tell each
// other of their steps, and the fleet that judges. Exchange lets steps arrive.
func twoFeeds(t *testing.T, set *Ruleset, gateways int) (a, b *feed, judge *fleet.Fleet, exchange func()) {
	t.Helper()
	if gateways == 1 {
		whole := fleet.New(fleet.DefaultConfig(), nil)
		return newFeed(t, set, SessionOptions{Fleet: whole}), newFeed(t, set, SessionOptions{Fleet: whole}), whole, func() {}
	}
	members := make([]*fleet.Fleet, 2)
	var under []func()
	for i := range members {
		members[i] = fleet.NewMember(fleet.DefaultConfig(), nil, func(s *fleet.Step) {
			kept := fleet.AppendStep(nil, s)
			for _, m := range members {
				step, err := fleet.ParseStep(kept)
				if err != nil {
					t.Error(err)
					return
				}
				under = append(under, func() { m.Hear(fmt.Sprint(i), step, step.At) })
			}
		})
	}
	return newFeed(t, set, SessionOptions{Fleet: members[0]}), newFeed(t, set, SessionOptions{Fleet: members[1]}), members[0], func() {
		for _, arrive := range under {
			arrive()
		}
		under = nil
	}
}
