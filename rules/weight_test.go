package rules

import (
	"flag"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// weighedRules are rules of all types with what their keys remember.
var weighedRules = []struct {
	name, typ, rest string
	rounds          int // Events of each key.
}{
	{"match with suppress", "match", "condition: has(edr.resource.cpu_pct)\nsuppress: 1d", 3},
	{"match with for", "match", "condition: edr.resource.cpu_pct < 100\nfor: 1h", 3},
	{"threshold", "threshold", "condition: has(edr.resource.cpu_pct)\nwindow: 1h\nhaving: {gte: 50}", 6},
	{"threshold that fires", "threshold", "condition: has(edr.resource.cpu_pct)\nwindow: 1h\nhaving: {gte: 3}", 6},
	{"tumbling threshold", "threshold", "condition: has(edr.resource.cpu_pct)\nwindow: 1h\nwindow_kind: tumbling\nhaving: {gte: 50}", 6},
	{"value_count", "value_count", "condition: has(agent.version)\nfield: agent.version\nwindow: 1h\nhaving: {gte: 50}", 6},
	{"metric", "metric", "condition: has(edr.resource.cpu_pct)\nfield: edr.resource.cpu_pct\nfunction: avg\nwindow: 1h\nhaving: {gt: 1000}", 12},
	{"spike", "spike", "condition: has(edr.resource.cpu_pct)\nwindow: 10m\ntimes: 3", 3},
	{"anomaly, novelty", "anomaly", "condition: has(edr.resource.cpu_pct)\nfield: edr.resource.cpu_pct\nwindow: 1d", 3},
	{"anomaly, ewma", "anomaly", "condition: has(edr.resource.cpu_pct)\nfield: edr.resource.cpu_pct\nmethod: ewma\nwindow: 1d", 3},
	{"silence", "silence", "condition: has(edr.resource.cpu_pct)\nafter: 1h", 3},
	{"sequence", "sequence", "maxspan: 1h\nsteps:\n  - {name: use, condition: has(edr.resource.cpu_pct)}\n  - {name: crash, condition: event.action == \"host-crashed\"}", 5},
	{"new_terms", "new_terms", "condition: has(agent.version)\nfields: [agent.version]\nwindow: 1d", 6},
	{"change", "change", "field: agent.version\nwindow: 1d", 3},
	{"trend", "trend", "condition: has(edr.resource.cpu_pct)\nfield: edr.resource.cpu_pct\nwindow: 8h\nhaving: {gt: 1000}", 12},
	{"change with suppress", "change", "field: agent.version\nwindow: 1d\nsuppress: 1d", 3},
}

// manyKeys is for how many keys weights are compared with the heap.
var manyKeys = flag.Int("keys", 10_000, "number of keys of the tests about the weight of the state; 1000000 takes 3 GiB")

// TestWeightIsTheHeaps compares the estimated bytes of keys with what the heap
// grows by: go test ./rules -run Weight -v -args -keys 100000.
func TestWeightIsTheHeaps(t *testing.T) {
	keys := *manyKeys
	dict := dictionary(t)
	ids, events := make([]string, keys), make([]string, keys)
	for i := range ids {
		ids[i] = fmt.Sprintf("%032x", i)
		events[i] = fmt.Sprintf("%016x-0-%d-0", i, i)
	}
	// grow plays rounds of events to a session and returns by how much the heap
	// has grown, with the session's own account.
	grow := func(typ, rest string, rounds int) (heap, weight float64) {
		set := compileRules(t, dict, ruleYAML(1, typ, rest))
		before := heapInUse()
		s := set.NewSession(SessionOptions{MaxKeys: 1 << 30})
		e := event.New(dict)
		for round := range rounds {
			now := start + int64(round)*60e9
			version := "7.16.18605." + strconv.Itoa(round)
			for i := range keys {
				e.Reset()
				e.Set(ecs.Timestamp, event.Time(now))
				e.SetString(ecs.EventID, events[i][:len(events[i])-1]+strconv.Itoa(round))
				e.SetString(ecs.EventAction, "resource-usage")
				e.SetString(ecs.AgentID, ids[i])
				e.SetString(ecs.AgentVersion, version)
				e.Set(ecs.EDRResourceCPUPct, event.Float(float64(i%17)))
				s.Detect(now, e, nil)
			}
		}
		heap = float64(heapInUse()) - float64(before)
		weight = float64(s.StateBytes())
		s.Publish()
		if c := set.Counters()[0]; c.Bytes != s.StateBytes() || typ != "match" && c.Keys != int64(keys) {
			t.Errorf("%s: the counters say %d bytes of %d keys, the session %d", rest, c.Bytes, c.Keys, s.StateBytes())
		}
		runtime.KeepAlive(s)
		return heap, weight
	}
	agents, none := grow("match", `condition: event.action == "host-crashed"`, 1)
	if none != 0 {
		t.Errorf("a state without keys weighs %v bytes", none)
	}
	for _, tc := range weighedRules {
		heap, weight := grow(tc.typ, tc.rest, tc.rounds)
		heap -= agents
		t.Logf("%-22s %4.0f bytes a key, estimated %4.0f (%+.0f %%)", tc.name, heap/float64(keys), weight/float64(keys), 100*(weight/heap-1))
		if math.Abs(weight/heap-1) > 0.25 {
			t.Errorf("%s: %.0f bytes a key on the heap, estimated %.0f", tc.name, heap/float64(keys), weight/float64(keys))
		}
	}
}

// TestMaxStateBoundsTheHeap sends events of three times as many agents as have
// room, and expects the heap to stay within the limit, give or take a quarter,
// and one agent's state after the other to be there and gone:
// go test ./rules -run MaxStateBounds -v -args -keys 1000000.
func TestMaxStateBoundsTheHeap(t *testing.T) {
	limit := int64(*manyKeys) * 750
	set := compileRules(t, dictionary(t), ruleYAML(1, "threshold", "condition: event.action == \"sensor-heartbeat\"\ngroup_by: [host.name?, event.id]\nwindow: 1d\nhaving: {gte: 2}"))
	before := heapInUse()
	s := set.NewSession(SessionOptions{MaxState: limit, MaxKeys: 1 << 30})
	e := event.New(set.Dictionary())
	most, id := int64(0), make([]byte, 0, 40)
	alerts := 0
	for i := range 3 * *manyKeys {
		id = strconv.AppendInt(append(id[:0], "an-id-of-about-thirty-letters-"...), int64(i), 10)
		for range 1 + i/(3**manyKeys-1) { // The last key is there still, and alerts.
			e.Reset()
			e.SetString(ecs.EventAction, "sensor-heartbeat")
			e.SetString(ecs.EventID, string(id))
			s.Detect(start+int64(i)*1e6, e, func(a *event.Event) {
				if a.Str(ecs.EDRAlertKey) != "memory" {
					alerts++
				}
			})
		}
		most = max(most, s.StateBytes())
	}
	heap := int64(heapInUse()) - int64(before)
	s.Publish()
	c := set.Counters()[0]
	t.Logf("%d keys of %d are held, in %d MiB of heap; the limit is %d MiB", c.Keys, 3**manyKeys, heap>>20, limit>>20)
	if most > limit || heap > limit+limit/4 || c.Bytes < limit*15/16 || c.Relieved+uint64(c.Keys) != uint64(3**manyKeys) || alerts != 1 {
		t.Errorf("limit %d, at most %d, heap %d, %d alerts, %+v", limit, most, heap, alerts, c)
	}
	runtime.KeepAlive(s)
}
