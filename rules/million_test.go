package rules

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// BenchmarkMillionAgents fills eight partitions with a million agents (100,000
// with -short) that tell what they are and then beat, and reports the heap per
// agent, strings and indexes included, and the time of an event, of a page and
// of a summary of the inventory. There is one rule, about the fleet, so that no
// other rule's state is measured.
func BenchmarkMillionAgents(b *testing.B) {
	agents, shards := 1_000_000, 8
	if testing.Short() {
		agents = 100_000
	}
	set := compileRules(b, dictionary(b), ruleYAML(1, "silence", "verdict: cohort\nscope: cohort"))
	for b.Loop() {
		before := heapInUse()
		whole := fleet.New(fleet.DefaultConfig(), nil)
		sessions := make([]*Session, shards)
		for i := range sessions {
			sessions[i] = set.NewSession(SessionOptions{Fleet: whole})
		}
		e := event.New(set.Dictionary())
		nobody := func(*event.Event) {}
		text := make([]byte, 0, 64)
		began, events, now := time.Now(), 0, start
		for round := range 4 { // What they are, and three heartbeats, all two minutes.
			for i := range agents {
				now = start + int64(round)*int64(2*time.Minute) + int64(i)*int64(2*time.Minute)/int64(agents)
				e.Reset()
				e.Set(ecs.Timestamp, event.Time(now))
				text = append(strconv.AppendUint(text[:0], 0x9e3779b97f4a7c15*uint64(i+1), 16), "-id-of-a-sensor-of-32"...)
				e.SetString(ecs.AgentID, string(text[:32]))
				e.SetString(ecs.AgentType, "crowdstrike-falcon")
				e.SetString(ecs.EventAction, "sensor-heartbeat")
				if round == 0 {
					e.SetString(ecs.EventAction, "inventory")
					describe(e, i)
				}
				sessions[i%shards].Detect(now, e, nobody)
				events++
			}
		}
		took := time.Since(began)
		b.ReportMetric(float64(heapInUse()-before)/float64(agents), "B/agent")
		b.ReportMetric(float64(events)/took.Seconds(), "events/s")
		began = time.Now()
		page := inventoryOf(b, whole, fleet.Query{Limit: 1000, Presence: "alive"})
		b.ReportMetric(time.Since(began).Seconds()*1000, "ms/page")
		began = time.Now()
		sum := summaryOf(b, whole, fleet.Query{})
		b.ReportMetric(time.Since(began).Seconds()*1000, "ms/summary")
		if page.Total != agents || sum.Agents != agents {
			b.Fatalf("%d alive of %d known agents, expected %d", page.Total, sum.Agents, agents)
		}
		began = time.Now()
		snapshots, bytes := make([][]byte, shards), 0
		for i, s := range sessions {
			snapshots[i], _ = s.AppendSnapshot(nil)
			bytes += len(snapshots[i])
			s.Close()
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/snapshot")
		b.ReportMetric(float64(bytes)/float64(agents), "snapshot-B/agent")
		began = time.Now()
		whole = fleet.New(fleet.DefaultConfig(), nil)
		for i := range sessions {
			sessions[i] = set.NewSession(SessionOptions{Fleet: whole})
			if err := sessions[i].Restore(snapshots[i]); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/restart")
		if sum := summaryOf(b, whole, fleet.Query{}); sum.Agents != agents {
			b.Fatalf("%d agents after the restart, expected %d", sum.Agents, agents)
		}
		for _, s := range sessions {
			s.Close()
		}
	}
}

// describe adds what an agent tells of itself once in a while: 3 rings, 7
// versions, 500 sites, 200 models.
func describe(e *event.Event, i int) {
	pick := func(name string, of int) string { return name + strconv.Itoa(i/3%of) }
	e.SetString(ecs.HostName, "ber-wks-"+strconv.Itoa(i))
	e.SetString(ecs.HostID, "host-id-of-32-characters-"+strconv.Itoa(1_000_000+i))
	e.SetString(ecs.AgentVersion, pick("7.16.1860", 7))
	e.SetString(ecs.HostOSType, "windows")
	e.SetString(ecs.HostType, "workstation")
	e.SetString(ecs.DeviceModelName, pick("Model ", 200))
	e.SetString(ecs.EDRSite, pick("site-", 500))
	e.SetString(ecs.EDRRolloutRing, pick("ring-", 3))
	e.SetString(ecs.EDRMode, "kernel")
	e.SetString(ecs.EDRState, "protecting")
	e.SetString(ecs.EDRContentChannel, "291")
	e.SetString(ecs.EDRContentVersion, pick("3", 5))
	e.SetString(ecs.EDRPrivilegeAccount, "NT AUTHORITY\\SYSTEM")
	e.SetString(ecs.EDRPrivilegeStartType, "auto")
}

// heapInUse is what is in use after a collection.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
