package identity

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// populate makes a registry of so many agents with four names each: sensor id,
// name, name with domain, serial number.
func populate(n int) *Registry {
	r := New(Config{})
	at := uint32(began / 1e9)
	rng := rand.New(rand.NewPCG(1, 2))
	batch := &Links{}
	source := batch.source("crowdstrike.fdr")
	for i := range n {
		agent := Name{SensorID, falcon, agentID(i)}
		seen := at + rng.Uint32N(3600)
		batch.observations = append(batch.observations, observation{name: agent, began: seen, heard: seen, seen: seen, marks: otherCase, values: [properties]reported{
			{fmt.Sprintf("7.%d.17605.0", 11+i%4), seen, ByRecord}, {fmt.Sprintf("site-%d", i%50), seen, ByTag}, {fmt.Sprintf("ring-%d", i%3), seen, ByTag},
		}})
		name := hostNameOf(i)
		for _, other := range []Name{{Kind: Short, Text: name}, {Kind: FQDN, Text: name + ".corp.example"}, {Kind: Serial, Text: fmt.Sprintf("pf%08d", i)}} {
			batch.links = append(batch.links, link{a: agent, b: other, first: seen, last: seen, sources: source, marks: otherCase | asHost})
		}
		if len(batch.observations) == 10_000 {
			r.Apply(batch)
			batch = &Links{sources: batch.sources}
		}
	}
	r.Apply(batch)
	return r
}

func agentID(i int) string {
	rng := rand.New(rand.NewPCG(uint64(i), 9))
	var b [16]byte
	for j := range b {
		b[j] = byte(rng.Uint32())
	}
	return hex.EncodeToString(b[:])
}

func hostNameOf(i int) string { return fmt.Sprintf("fra-srv-%07d", i) }

// TestMemory: agents with four names each take the memory that the README
// states. EDRWATCH_AGENTS makes it a million.
func TestMemory(t *testing.T) {
	agents := 100_000
	if n, err := strconv.Atoi(os.Getenv("EDRWATCH_AGENTS")); err == nil {
		agents = n
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	start := time.Now()
	r := populate(agents)
	took := time.Since(start)
	used := heap() - before
	each := float64(used) / float64(agents)
	start = time.Now()
	size := 0
	_, entries := r.Export(0)
	for _, value := range entries {
		size += len(value)
	}
	t.Logf("%d agents: %.0f bytes each, %d MiB; applied in %s, exported as %d bytes each in %s", agents, each, used>>20, took.Round(time.Millisecond), size/agents, time.Since(start).Round(time.Millisecond))
	if each > 600*1.048576 {
		t.Errorf("%.0f bytes an agent are too many", each)
	}
	runtime.KeepAlive(r)
}

// BenchmarkProcess is what an event takes, of one million agents in no order and
// in the mix of feeds of the simulated fleet.
func BenchmarkProcess(b *testing.B) {
	const agents = 1_000_000
	r := populate(agents)
	dict, err := ecs.New()
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{1000, agents} {
		ids, names := make([]string, size), make([]string, size)
		for i := range ids {
			ids[i], names[i] = agentID(i), hostNameOf(i)
		}
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := NewIdentifier(r, nil, nil).ForShard()
			defer s.Close()
			e := event.New(dict)
			b.ReportAllocs()
			i := uint32(1)
			for b.Loop() {
				i = i*1664525 + 1013904223
				n := int(i>>8) % size
				e.Reset()
				e.Clock = began + int64(10*time.Minute)
				e.Set(ecs.Timestamp, event.Time(e.Clock))
				e.SetString(ecs.AgentType, falcon)
				e.SetString(ecs.EventAction, "sensor-heartbeat")
				if i>>28 < 12 {
					e.SetString(ecs.AgentID, ids[n])
					e.SetString(ecs.HostID, ids[n])
				} else {
					e.SetString(ecs.HostName, names[n])
				}
				s.Process(e)
			}
		})
	}
	b.Run("empty", func(b *testing.B) {
		e := event.New(dict)
		for b.Loop() {
			e.Reset()
			e.Set(ecs.Timestamp, event.Time(began))
			e.SetString(ecs.AgentType, falcon)
			e.SetString(ecs.EventAction, "sensor-heartbeat")
			e.SetString(ecs.AgentID, "a")
			e.SetString(ecs.HostID, "a")
		}
	})
}

// TestProcessAllocatesNothing: what is known costs no allocation.
func TestProcessAllocatesNothing(t *testing.T) {
	r := populate(100)
	s := NewIdentifier(r, nil, nil).ForShard()
	e := newEvent(t)
	id, name := agentID(7), hostNameOf(8)
	if n := testing.AllocsPerRun(1000, func() {
		for _, by := range []ecs.ID{ecs.AgentID, ecs.HostName} {
			e.Reset()
			e.Clock = began + int64(10*time.Minute)
			e.SetString(ecs.AgentType, falcon)
			e.SetString(ecs.EventAction, "sensor-heartbeat")
			if by == ecs.AgentID {
				e.SetString(by, id)
			} else {
				e.SetString(by, name)
			}
			s.Process(e)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if e.Str(ecs.AgentID) != agentID(8) || e.Str(ecs.AgentVersion) == "" || e.Str(ecs.EDRSite) == "" {
		t.Errorf("agent %q, version %q, site %q", e.Str(ecs.AgentID), e.Str(ecs.AgentVersion), e.Str(ecs.EDRSite))
	}
}
