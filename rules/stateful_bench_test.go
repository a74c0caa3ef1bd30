package rules

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// BenchmarkStateful measures one rule that every event matches, over 2,000
// events of 1,000 agents: window, episode and silence included.
func BenchmarkStateful(b *testing.B) {
	dict := dictionary(b)
	events := benchEvents(dict)
	for _, tc := range []struct{ name, typ, rest string }{
		{"match", "match", "condition: has(edr.state)\nkeep_firing_for: 1h"},
		{"match for", "match", "condition: has(edr.state)\nfor: 30m"},
		{"threshold", "threshold", "condition: has(edr.state)\nwindow: 10m\nhaving: {gte: 100}"},
		{"silence", "silence", "condition: has(edr.state)\nafter: 10m\nmultiple_of_cadence: 4"},
		{"value_count of one value", "value_count", "condition: has(edr.state)\nfield: agent.version\nwindow: 10m\nhaving: {gte: 3}"},
		{"value_count of agents", "value_count", "condition: has(edr.state)\nfield: entity\ngroup_by: [agent.version]\nscope: fleet\nwindow: 10m\nhaving: {gte: 60}"},
		{"change", "change", "field: edr.state\nwindow: 1h"},
		{"new_terms", "new_terms", "condition: has(edr.state)\nfields: [agent.version]\nwindow: 1h\nlearn: 1m"},
		{"sequence", "sequence", "maxspan: 10m\nsteps:\n  - {name: beat, condition: has(edr.state)}\n  - {name: crash, condition: event.action == \"host-crashed\"}"},
		{"metric avg", "metric", "condition: event.action == \"resource-usage\"\nfield: edr.resource.cpu_pct\nfunction: avg\nwindow: 10m\nhaving: {gt: 99}"},
		{"metric p95", "metric", "condition: event.action == \"resource-usage\"\nfield: edr.resource.cpu_pct\nfunction: p95\nwindow: 10m\nhaving: {gt: 99}"},
		{"spike", "spike", "condition: has(edr.state)\nwindow: 10m\ntimes: 3\nmin_events: 1000"},
		{"anomaly", "anomaly", "condition: event.action == \"resource-usage\"\nfield: edr.resource.cpu_pct\nwindow: 1d"},
	} {
		b.Run(tc.name, func(b *testing.B) {
			set := compileRules(b, dict, ruleYAML(1, tc.typ, tc.rest))
			s := set.NewSession(SessionOptions{})
			emit := func(*event.Event) {}
			now := int64(1_700_000_000_000_000_000)
			step := int64(10e6) // 100 events a second: each agent every 10 s.
			for i := range 20_000 {
				s.Detect(now, events[i%len(events)], emit)
				now += step
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				s.Detect(now, events[i%len(events)], emit)
				now += step
			}
		})
	}
}

// BenchmarkKeys tells how much memory an agent takes: one silence and one
// threshold rule over as many agents as iterations.
func BenchmarkKeys(b *testing.B) {
	dict := dictionary(b)
	set := compileRules(b, dict, ruleYAML(1, "silence", silent)+ruleYAML(2, "threshold", "condition: event.action == \"sensor-heartbeat\"\nwindow: 1h\nhaving: {gte: 5}"))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f := newFeed(b, set, SessionOptions{MaxKeys: 1 << 30})
	b.ResetTimer()
	for i := range b.N {
		f.send(0, "event.action", "sensor-heartbeat", "agent.id", fmt.Sprintf("%032x", i), "agent.type", "crowdstrike-falcon",
			"host.name", fmt.Sprintf("host-%d", i), "host.os.type", "windows", "agent.version", "7.11.18110.0")
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "B/agent")
	runtime.KeepAlive(f)
}

// BenchmarkKeysByType tells how much memory a key takes: one rule over as many
// agents as iterations, each with three events. The first case is the agent
// itself, which the others have, too. Run it with -benchtime 1000000x.
func BenchmarkKeysByType(b *testing.B) {
	dict := dictionary(b)
	for _, tc := range []struct{ name, typ, rest string }{
		{"agent alone", "match", "condition: event.action == \"host-crashed\""},
		{"threshold", "threshold", "condition: has(edr.resource.cpu_pct)\nwindow: 1h\nhaving: {gte: 5}"},
		{"change", "change", "field: agent.version\nwindow: 1d"},
		{"value_count", "value_count", "condition: has(agent.version)\nfield: agent.version\nwindow: 1h\nhaving: {gte: 5}"},
		{"anomaly", "anomaly", "condition: has(edr.resource.cpu_pct)\nfield: edr.resource.cpu_pct\nwindow: 1d"},
	} {
		b.Run(tc.name, func(b *testing.B) {
			s := compileRules(b, dict, ruleYAML(1, tc.typ, tc.rest)).NewSession(SessionOptions{MaxKeys: 1 << 30})
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			e := event.New(dict)
			for round := range 3 {
				for i := range b.N {
					now := start + int64(round)*60e9
					e.Reset()
					e.Set(ecs.Timestamp, event.Time(now))
					e.SetString(ecs.EventID, fmt.Sprintf("%016x-0-%d-0", i, round))
					e.SetString(ecs.EventAction, "resource-usage")
					e.SetString(ecs.AgentID, fmt.Sprintf("%032x", i))
					e.SetString(ecs.AgentType, "crowdstrike-falcon")
					e.SetString(ecs.AgentVersion, "7.16.18605")
					e.SetString(ecs.HostName, fmt.Sprintf("host-%d", i))
					e.SetString(ecs.HostOSType, "windows")
					e.Set(ecs.EDRResourceCPUPct, event.Float(float64(i%17)))
					s.Detect(now, e, nil)
				}
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "B/key")
			runtime.KeepAlive(s)
		})
	}
}
