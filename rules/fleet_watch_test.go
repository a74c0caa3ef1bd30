package rules

import (
	"fmt"
	"slices"
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
			exchange(at)
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
			at := m + 40*time.Second
			exchange(at)
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
		exchange(100 * time.Minute)
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

// agents are the presences that are reported of the session's agents.
func (f *feed) agents() (list []string) {
	one := fleet.New(fleet.DefaultConfig(), nil)
	one.Enlist(f.s)
	for _, a := range inventoryOf(f.tb, one, fleet.Query{}).Agents {
		list = append(list, a.Presence)
	}
	return list
}

// twoFeeds are two partitions of one gateway, or of one each that tell each
// other of their steps, and the fleet that judges. Exchange ends and closes the
// steps up to a time.
func twoFeeds(t *testing.T, set *Ruleset, gateways int) (a, b *feed, judge *fleet.Fleet, exchange func(at time.Duration)) {
	t.Helper()
	if gateways == 1 {
		whole := fleet.New(fleet.DefaultConfig(), nil)
		return newFeed(t, set, SessionOptions{Fleet: whole}), newFeed(t, set, SessionOptions{Fleet: whole}), whole, func(time.Duration) {}
	}
	members := []*fleet.Fleet{fleet.NewShared(fleet.DefaultConfig(), nil), fleet.NewShared(fleet.DefaultConfig(), nil)}
	for _, m := range members {
		m.Expect([]string{"a", "b"})
	}
	a, b = newFeed(t, set, SessionOptions{Fleet: members[0], Partition: "a"}), newFeed(t, set, SessionOptions{Fleet: members[1], Partition: "b"})
	closed := time.Duration(0)
	return a, b, members[0], func(at time.Duration) {
		for ; closed+time.Duration(fleet.StepLength) <= at; closed += time.Duration(fleet.StepLength) {
			end := closed + time.Duration(fleet.StepLength)
			a.advance(end)
			b.advance(end)
			for _, m := range members {
				told := m.Outbox(start+int64(end), m.Partitions())
				for _, to := range members {
					heard := slices.Clone(told)
					for i := range heard {
						if heard[i].Step == nil {
							continue
						}
						step, err := fleet.ParseStep(fleet.AppendStep(nil, heard[i].Step))
						if err != nil {
							t.Fatal(err)
						}
						heard[i].Step = step
					}
					to.Hear(start+int64(end), heard)
				}
			}
		}
	}
}
