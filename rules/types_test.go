package rules

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestSequenceWithAbsentEnd waits for a step that must not stay away.
func TestSequenceWithAbsentEnd(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "sequence", `maxspan: 10m
grace: 1m
steps:
  - {name: start, condition: event.action == "sensor-started"}
  - {name: connection, condition: event.action == "sensor-connected", absent: true, within: 5m}
`))
	t.Run("raised when the time and the grace are over", func(t *testing.T) {
		f := newFeed(t, set, SessionOptions{})
		f.send(0, "event.action", "sensor-started", "agent.id", "a")
		f.send(2*time.Minute, "event.action", "sensor-started", "agent.id", "b")
		f.send(4*time.Minute, "event.action", "sensor-connected", "agent.id", "b")
		for m := 5; m < 20; m++ {
			f.advance(time.Duration(m) * time.Minute)
		}
		f.expect("6m0s firing rule 1 a 1")
	})
	t.Run("a step that comes late within the grace counts", func(t *testing.T) {
		f := newFeed(t, set, SessionOptions{})
		f.send(0, "event.action", "sensor-started", "agent.id", "a")
		f.advance(3 * time.Minute)
		f.advance(5 * time.Minute)
		f.late(5*time.Minute+30*time.Second, 4*time.Minute, "event.action", "sensor-connected", "agent.id", "a")
		f.advance(7 * time.Minute)
		f.expect()
	})
	t.Run("a feed that stalls proves nothing", func(t *testing.T) {
		f := newFeed(t, set, SessionOptions{})
		f.send(0, "event.action", "sensor-started", "agent.id", "a")
		f.advance(time.Hour)
		f.send(time.Hour+time.Minute, "event.action", "sensor-started", "agent.id", "b")
		for m := 62; m < 80; m++ {
			f.advance(time.Duration(m) * time.Minute)
		}
		f.expect("1h7m0s firing rule 1 b 1")
	})
}

// TestSpikeDown finds an agent whose events nearly stop while its host lives.
func TestSpikeDown(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "spike", `condition: event.action == "scan-finished"
window: 10m
history: 6
min_history: 3
times: 5
min_events: 10
direction: down
host: up
suppress: 1h`))
	f := newFeed(t, set, SessionOptions{Lateness: time.Minute})
	for m := range 180 {
		at := time.Duration(m) * time.Minute
		f.send(at, "event.action", "sensor-heartbeat", "agent.id", "a")
		f.send(at, "event.action", "sensor-heartbeat", "agent.id", "b")
		if m < 90 {
			f.send(at, "event.action", "scan-finished", "agent.id", "a")
		}
		f.send(at, "event.action", "scan-finished", "agent.id", "b")
	}
	f.expect("1h41m0s firing rule 1 a 1", "2h41m0s resolved rule 1 a 1")
}

// TestThinnedSequence keeps a key's events few however many come.
func TestThinnedSequence(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "sequence", `maxspan: 10m
steps:
  - {name: beat, condition: event.action == "sensor-heartbeat"}
  - {name: crash, condition: event.action == "host-crashed"}`))
	f := newFeed(t, set, SessionOptions{})
	for s := range 7200 {
		f.send(time.Duration(s)*time.Second, "event.action", "sensor-heartbeat", "agent.id", "a")
	}
	f.s.Publish()
	if c := set.Counters()[0]; c.Bytes > 16<<10 || c.Shed > 0 {
		t.Errorf("%d bytes kept, %d events shed", c.Bytes, c.Shed)
	}
	f.send(2*time.Hour, "event.action", "host-crashed", "agent.id", "a")
	f.expect("2h0m0s firing rule 1 a 1")
}

// TestAnomaly raises one alert for a level that the series never had, and none
// for a daily rhythm that it has learnt.
func TestAnomaly(t *testing.T) {
	for _, method := range []string{"novelty", "ewma", "seasonal"} {
		set := compileRules(t, dictionary(t), ruleYAML(1, "anomaly", "condition: event.action == \"resource-usage\"\nfield: edr.resource.cpu_pct\nlearn: 288\nwindow: 2d\nmethod: "+method))
		f := newFeed(t, set, SessionOptions{})
		r := rand.New(rand.NewPCG(1, 2))
		send := func(n int, level float64) {
			at := time.Duration(n) * 5 * time.Minute
			f.send(at, "event.action", "resource-usage", "agent.id", "a", "edr.resource.cpu_pct", level+5*math.Sin(2*math.Pi*float64(n)/288)+r.Float64())
		}
		n := 0
		for ; n < 10*288; n++ {
			send(n, 10)
		}
		f.expect()
		for ; n < 10*288+40; n++ {
			send(n, 60)
		}
		f.expect(fmt.Sprintf("%s firing rule 1 a 1", time.Duration(10*288)*5*time.Minute))
	}
}
