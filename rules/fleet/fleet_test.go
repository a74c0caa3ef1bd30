package fleet

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// world drives agents that beat every two minutes through shards.
type world struct {
	t        testing.TB
	fleet    *Fleet
	gateways []*Fleet                             // where several share the shards
	whole    *Fleet                               // that judges what they tell
	tap      func(end int64, told []Contribution) // sees what is told; nil: nobody does
	shards   []*Shard
	agents   []*Agent
	e        *event.Event
	rng      *rand.Rand
	now      int64
	delay    int64 // of the records that are sent
	others   int   // agents of another topic
	findings []Finding
}

func newWorld(t testing.TB, agents, shards int, sites int) *world {
	t.Helper()
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, fleet: New(DefaultConfig(), nil), e: event.New(dict), rng: rand.New(rand.NewPCG(1, 2)),
		now: time.Date(2024, 7, 19, 3, 0, 0, 0, time.UTC).UnixNano(),
	}
	for range shards {
		w.shards = append(w.shards, w.fleet.Shard(fmt.Sprint(len(w.shards))))
	}
	for i := range agents {
		w.agents = append(w.agents, &Agent{
			ID: fmt.Sprintf("agent-%d", i), HostName: fmt.Sprintf("host-%d", i), Type: "a", OSType: "windows", HostType: "server",
			Site: fmt.Sprintf("site-%d", i%sites), Version: "1",
		})
	}
	return w
}

// run lets the agents beat for a time; silent says who does not.
func (w *world) run(d time.Duration, silent func(i int) bool) {
	const second = int64(time.Second)
	for end := w.now + int64(d); w.now < end; w.now += second {
		turn := int(w.now / second % 120)
		for i, a := range w.agents {
			if i*7%120 == turn && !silent(i) {
				w.send(i, a, "sensor-heartbeat", "")
			}
		}
	}
}

func (w *world) send(i int, a *Agent, action, content string) {
	s := w.shards[i%len(w.shards)]
	w.endSteps()
	w.e.Reset()
	w.e.SetString(ecs.EventAction, action)
	w.e.SetString(ecs.AgentID, a.ID)
	if content != "" {
		w.e.SetString(ecs.EDRContentVersion, content)
		w.e.SetString(ecs.EDRContentChannel, "291")
	}
	a.LastSeen = w.now
	topic := "topic"
	if i < w.others {
		topic = "other"
	}
	s.Observe(a, w.e, w.now, w.now-w.delay, topic)
}

// endSteps ends the steps before the present in all shards, as a pacer does.
func (w *world) endSteps() {
	for {
		end := int64(0)
		for _, s := range w.shards {
			if next := s.NextStep(); next > 0 && next <= w.now && (end == 0 || next < end) {
				end = next
			}
		}
		if end == 0 {
			return
		}
		for i, s := range w.shards {
			if s.NextStep() == end {
				w.findings = append(w.findings, w.fleetOf(i).Take(s, s.EndStep(w.now), false)...)
			}
		}
		for _, g := range w.gateways {
			w.exchange(g, end)
		}
		for i, s := range w.shards {
			f := w.fleetOf(i)
			for seen, ended := s.Behind(); seen < ended; seen, ended = s.Behind() {
				v := f.NextView(seen, ended)
				if v == nil {
					break
				}
				s.Advance(v)
			}
		}
	}
}

func (w *world) fleetOf(shard int) *Fleet {
	if n := len(w.gateways); n > 0 {
		return w.gateways[shard%n]
	}
	return w.fleet
}

func (w *world) kinds() map[string]Finding {
	first := map[string]Finding{}
	for _, f := range w.findings {
		if _, ok := first[f.Kind]; !ok && f.Status == "firing" {
			first[f.Kind] = f
		}
	}
	return first
}

func nobody(int) bool { return false }

func TestBadContentIsNamed(t *testing.T) {
	for _, shards := range []int{1, 6} {
		w := newWorld(t, 600, shards, 8)
		w.run(30*time.Minute, nobody)
		began := w.now
		for i, a := range w.agents[:60] {
			w.send(i, a, "content-updated", "32")
		}
		w.run(8*time.Minute, func(i int) bool { return i < 60 })
		f, ok := w.kinds()["bad_rollout"]
		if !ok || f.Content != "32" || f.Channel != "291" || f.Verdict != "rollback" || f.Count < leastHarmed {
			t.Fatalf("%d shards: found %+v", shards, w.findings)
		}
		if took := time.Duration(f.At - began); took > 5*time.Minute {
			t.Errorf("%d shards: named after %s", shards, took)
		}
		for _, host := range f.Hosts {
			var n int
			if _, err := fmt.Sscanf(host, "host-%d", &n); err != nil || n >= 60 {
				t.Errorf("%d shards: %s is accused and lives", shards, host)
			}
		}
	}
}

func TestSiteOutageIsNoRollout(t *testing.T) {
	w := newWorld(t, 600, 3, 6)
	w.run(30*time.Minute, nobody)
	for i, a := range w.agents {
		if i%6 == 2 { // The rollout goes site by site.
			w.send(i, a, "content-updated", "32")
		}
	}
	w.run(10*time.Minute, func(i int) bool { return i%6 == 2 })
	kinds := w.kinds()
	if f, ok := kinds["site_outage"]; !ok || f.Site != "site-2" || f.Denominator != 100 {
		t.Errorf("found %+v", w.findings)
	}
	if f, ok := kinds["mass_silence"]; ok {
		t.Errorf("the site's agents are reported twice: %+v", f)
	}
}

func TestStalledFeedIsNoSilence(t *testing.T) {
	w := newWorld(t, 300, 2, 5)
	w.run(30*time.Minute, nobody)
	w.run(40*time.Minute, func(int) bool { return true })
	w.run(30*time.Minute, nobody)
	kinds := w.kinds()
	if _, ok := kinds["pipeline_silence"]; !ok || len(kinds) != 1 {
		t.Errorf("found %+v", w.findings)
	}
}

func TestDeadAgentsAreMissed(t *testing.T) {
	w := newWorld(t, 300, 2, 5)
	w.run(30*time.Minute, nobody)
	began := w.now
	w.run(10*time.Minute, func(i int) bool { return i%3 == 0 })
	f, ok := w.kinds()["mass_silence"]
	if !ok || f.OS != "windows" || f.Denominator < 290 || f.Denominator > 300 {
		t.Fatalf("found %+v", w.findings)
	}
	if took := time.Duration(f.At - began); took > 6*time.Minute {
		t.Errorf("noticed after %s", took)
	}
}

// TestExposedBeforeTheyAreKnown gives most agents a version while nobody knows
// yet how often they beat, as at a start, and lets some of those crash.
func TestExposedBeforeTheyAreKnown(t *testing.T) {
	w := newWorld(t, 300, 1, 5)
	push := func(from, to int, content string) {
		for i := from; i < to; i++ {
			w.send(i, w.agents[i], "content-updated", content)
		}
	}
	push(0, 300, "31")
	w.run(2*time.Minute, nobody)
	push(0, 220, "32")
	w.run(8*time.Minute, nobody)
	push(220, 240, "32")
	for i := range 12 {
		w.run(10*time.Second, nobody)
		w.send(i*7, w.agents[i*7], "sensor-crashed", "")
	}
	w.run(5*time.Minute, nobody)
	if len(w.findings) > 0 {
		t.Errorf("found %+v", w.findings)
	}
}

// TestStragglersBehindTheEnd ends a feed, or a capture of it, as they end: with
// a few records that were late.
func TestStragglersBehindTheEnd(t *testing.T) {
	w := newWorld(t, 1000, 1, 5)
	w.run(4*time.Hour, func(int) bool { return false })
	ended := w.now
	for range 150 {
		w.now += int64(time.Second)
		if w.now/int64(time.Second)%5 == 0 {
			w.delay = w.now - ended + int64(w.rng.IntN(20))*int64(time.Second)
			w.send(w.rng.IntN(len(w.agents)), w.agents[w.rng.IntN(len(w.agents))], "sensor-heartbeat", "")
		}
	}
	w.delay = 0
	for _, f := range w.findings {
		if f.Kind == "mass_silence" {
			t.Errorf("stragglers make a %s: %s", f.Kind, f.Reason)
		}
	}
}

// TestDeadBehindAStall stops the feed for a while, and a third of the agents fall
// silent after it: its clock has to stand still for that while, and no longer.
func TestDeadBehindAStall(t *testing.T) {
	w := newWorld(t, 300, 2, 5)
	w.others = 2 // Time goes on with one of each shard.
	w.run(30*time.Minute, nobody)
	w.run(3*time.Hour, func(i int) bool { return i >= w.others })
	w.run(20*time.Minute, nobody)
	began := w.now
	w.run(15*time.Minute, func(i int) bool { return i%3 == 0 && i >= w.others })
	w.run(3*time.Hour, nobody)
	f, ok := w.kinds()["mass_silence"]
	if !ok {
		t.Fatalf("found %+v", w.findings)
	}
	if took := time.Duration(f.At - began); took > 6*time.Minute {
		t.Errorf("noticed after %s", took)
	}
}

func TestQuietFleet(t *testing.T) {
	w := newWorld(t, 200, 2, 4)
	w.run(6*time.Hour, nobody)
	if len(w.findings) > 0 {
		t.Errorf("found %+v", w.findings)
	}
}

func BenchmarkObserve(b *testing.B) {
	dict, err := ecs.New()
	if err != nil {
		b.Fatal(err)
	}
	const agents = 100_000
	s, j := NewShard(DefaultConfig()), NewJudge(DefaultConfig())
	list := make([]Agent, agents)
	for i := range list {
		list[i] = Agent{ID: "x", Type: "a", OSType: "windows", HostType: "server", Site: "s", Version: "1"}
	}
	e := event.New(dict)
	e.SetString(ecs.EventAction, "sensor-heartbeat")
	e.SetString(ecs.AgentID, "x")
	now := time.Date(2024, 7, 19, 3, 0, 0, 0, time.UTC).UnixNano()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		now += int64(120*time.Second) / agents
		for s.NextStep() > 0 && s.NextStep() <= now {
			_, view := j.Take(s.EndStep(now))
			s.Advance(view)
		}
		s.Observe(&list[i%agents], e, now, now, "topic")
		i++
	}
	b.Logf("%d agents that beat every 120 s, one stratum, one site", agents)
}
