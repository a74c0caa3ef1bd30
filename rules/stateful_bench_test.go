package rules

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// statefulCases are rules of all types that nearly every event of
// statefulEvents concerns, none of which alerts.
var statefulCases = []struct{ name, typ, rest string }{
	{"none", "match", "condition: event.action == \"host-crashed\""},
	{"match", "match", "condition: has(edr.state)\nkeep_firing_for: 1h"},
	{"match rollup", "match", "condition: has(edr.state)\nsuppress: 1h\nrollup: {by: [agent.type], over: 50000, within: 10m}"},
	{"match for", "match", "condition: has(edr.state)\nfor: 30m"},
	{"threshold", "threshold", "condition: has(edr.state)\nwindow: 10m\nhaving: {gte: 1000}"},
	{"threshold tumbling", "threshold", "condition: has(edr.state)\nwindow: 10m\nwindow_kind: tumbling\nhaving: {gte: 1000}"},
	{"silence", "silence", "condition: has(edr.state)\nafter: 10m\nmultiple_of_cadence: 4"},
	{"value_count of one value", "value_count", "condition: has(edr.state)\nfield: agent.version\nwindow: 10m\nhaving: {gte: 3}"},
	{"value_count of agents", "value_count", "condition: has(edr.state)\nfield: entity\ngroup_by: [agent.version]\nscope: fleet\nwindow: 10m\nhaving: {gte: 60}"},
	{"change", "change", "field: edr.state\nwindow: 1h"},
	{"new_terms", "new_terms", "condition: has(edr.state)\nfields: [agent.version]\nwindow: 1h\nlearn: 1m"},
	{"sequence", "sequence", "maxspan: 10m\nsteps:\n  - {name: beat, condition: has(edr.state)}\n  - {name: crash, condition: event.action == \"host-crashed\"}"},
	{"sequence absent", "sequence", "maxspan: 10m\nsteps:\n  - {name: beat, condition: has(edr.state)}\n  - {name: beats no more, absent: true, within: 10m, condition: has(edr.state)}"},
	{"metric avg", "metric", "condition: has(edr.state)\nfield: edr.resource.cpu_pct\nfunction: avg\nwindow: 10m\nhaving: {gt: 99}"},
	{"metric max", "metric", "condition: has(edr.state)\nfield: edr.resource.cpu_pct\nfunction: max\nwindow: 10m\nhaving: {gt: 99}"},
	{"metric p95", "metric", "condition: has(edr.state)\nfield: edr.resource.cpu_pct\nfunction: p95\nwindow: 10m\nhaving: {gt: 99}"},
	{"spike", "spike", "condition: has(edr.state)\nwindow: 10m\ntimes: 3\nmin_events: 1000000"},
	{"trend", "trend", "condition: has(edr.state)\nfield: edr.resource.cpu_pct\nwindow: 8h\nhaving: {gt: 1000}"},
	{"anomaly novelty", "anomaly", "condition: has(edr.state)\nfield: edr.resource.cpu_pct\nwindow: 1d"},
	{"anomaly ewma", "anomaly", "condition: has(edr.state)\nfield: edr.resource.cpu_pct\nwindow: 1d\nmethod: ewma"},
	{"anomaly seasonal", "anomaly", "condition: has(edr.state)\nfield: edr.resource.cpu_pct\nwindow: 1d\nmethod: seasonal"},
}

// statefulFeed is the feed of a fleet that reports agent by agent, every agent
// every ten seconds, in an event that is used again as the gateway does: with
// one of its own for every record, reading them would be most of the time.
type statefulFeed struct {
	e        *event.Event
	agents   int
	i        int
	now      int64
	id       []byte // Ends in the agent's number; host and eventID, too.
	host     []byte
	eventID  []byte
	versions []string
}

func newStatefulFeed(dict *ecs.Dictionary, agents int) *statefulFeed {
	f := &statefulFeed{
		e: event.New(dict), agents: agents, now: 1_700_000_000_000_000_000,
		id: []byte(strings.Repeat("a", 32)), host: []byte("host-0000000"), eventID: []byte("5f3a5f3a5f3a5f3a-0-0000000"),
	}
	for i := range agents/50 + 1 {
		f.versions = append(f.versions, fmt.Sprintf("7.%d.1", i))
	}
	return f
}

func (f *statefulFeed) next() (now int64, e *event.Event) {
	agent := f.i % f.agents
	for at, n, all := 1, agent, f.i; at <= 7; at, n, all = at+1, n/10, all/10 {
		f.id[len(f.id)-at] = '0' + byte(n%10)
		f.host[len(f.host)-at] = '0' + byte(n%10)
		f.eventID[len(f.eventID)-at] = '0' + byte(all%10)
	}
	e = f.e
	e.Reset()
	e.SetString(ecs.EventAction, "resource-usage")
	e.SetString(ecs.EventID, event.View(f.eventID))
	e.SetString(ecs.AgentID, event.View(f.id))
	e.SetString(ecs.AgentType, "crowdstrike-falcon")
	e.SetString(ecs.AgentVersion, f.versions[agent%len(f.versions)])
	e.SetString(ecs.HostName, event.View(f.host))
	e.SetString(ecs.HostOSType, "windows")
	e.SetString(ecs.EDRState, "protecting")
	e.Set(ecs.EDRResourceCPUPct, event.Float(float64((agent+f.i/f.agents)%50)))
	f.i++
	f.now += int64(10e9) / int64(f.agents)
	return f.now, e
}

// BenchmarkStateful measures one rule that every event concerns, of one agent
// and of many: entity, window, episode and timers included. The case "feed" is
// the benchmark's own work, "none" that and the session without the rule.
func BenchmarkStateful(b *testing.B) {
	dict := dictionary(b)
	for _, agents := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("feed/agents=%d", agents), func(b *testing.B) {
			f := newStatefulFeed(dict, agents)
			for range b.N {
				f.next()
			}
		})
		for _, tc := range statefulCases {
			f := newStatefulFeed(dict, agents)
			emit := func(*event.Event) {}
			// Past the window and the lateness everything has its room.
			warm := sync.OnceValue(func() *Session {
				s := compileRules(b, dict, ruleYAML(1, tc.typ, tc.rest)).NewSession(SessionOptions{})
				for range max(160*agents, 2000) {
					now, e := f.next()
					s.Detect(now, e, emit)
				}
				return s
			})
			b.Run(fmt.Sprintf("%s/agents=%d", tc.name, agents), func(b *testing.B) {
				s := warm()
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					now, e := f.next()
					s.Detect(now, e, emit)
				}
			})
		}
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
