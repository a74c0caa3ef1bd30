package rules

import (
	"fmt"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// BenchmarkSnapshot writes and restores the state of one rule over 100,000
// agents, and tells its size. The agents themselves are in it, as rule silence
// on its own shows with the part of the fleet.
func BenchmarkSnapshot(b *testing.B) {
	const agents = 100_000
	dict := dictionary(b)
	for _, tc := range []struct{ name, yaml string }{
		{"agents", ruleYAML(1, "rollout", "scope: fleet")},
		{"threshold", ruleYAML(1, "threshold", "condition: has(edr.resource.cpu_pct)\nwindow: 1h\nhaving: {gte: 5}")},
		{"change", ruleYAML(1, "change", "field: agent.version\nwindow: 1d")},
		{"value_count", ruleYAML(1, "value_count", "condition: has(agent.version)\nfield: agent.version\nwindow: 1h\nhaving: {gte: 5}")},
		{"anomaly", ruleYAML(1, "anomaly", "condition: has(edr.resource.cpu_pct)\nfield: edr.resource.cpu_pct\nwindow: 1d")},
		{"silence", ruleYAML(1, "silence", "condition: has(agent.version)\nafter: 10m")},
	} {
		b.Run(tc.name, func(b *testing.B) {
			set := compileRules(b, dict, tc.yaml)
			s := set.NewSession(SessionOptions{})
			e := event.New(dict)
			now := int64(1_700_000_000_000_000_000)
			for round := range 3 {
				for i := range agents {
					e.Reset()
					e.Feed = "edr"
					e.Set(ecs.Timestamp, event.Time(now))
					e.SetString(ecs.EventID, fmt.Sprintf("%016x-0-%d-0", i, round))
					e.SetString(ecs.EventAction, "sensor-heartbeat")
					e.SetString(ecs.AgentID, fmt.Sprintf("%032x", i*7919))
					e.SetString(ecs.AgentType, "crowdstrike-falcon")
					e.SetString(ecs.AgentVersion, "7.16.18605")
					e.SetString(ecs.HostName, fmt.Sprintf("desktop-%06d", i))
					e.SetString(ecs.HostOSType, "windows")
					e.Set(ecs.EDRResourceCPUPct, event.Float(float64(i%17)))
					s.Detect(now, e, nil)
					now += int64(time.Minute) / agents / int64(time.Millisecond) * int64(time.Millisecond)
				}
				now += int64(time.Minute)
			}
			var snapshot []byte
			b.Run("write", func(b *testing.B) {
				for range b.N {
					snapshot, _ = s.AppendSnapshot(snapshot[:0])
				}
				b.ReportMetric(float64(len(snapshot))/agents, "B/agent")
			})
			b.Run("restore", func(b *testing.B) {
				for range b.N {
					if err := set.NewSession(SessionOptions{}).Restore(snapshot); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
