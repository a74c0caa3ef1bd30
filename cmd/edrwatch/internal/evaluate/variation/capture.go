package variation

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/sources/simulator"
)

// Options say which capture to make.
type Options struct {
	Scenario string
	Seed     uint64
	Agents   int
}

// Capture gives the records of a fleet in the order of their arrival. It
// belongs to one goroutine.
type Capture struct {
	b    *builder
	next int
}

// record is one record that is to come: 40 bytes, rendered when its turn has come.
type record struct {
	arrives, event time.Duration // since the start
	host           int32
	kind           kind
	odd            uint8  // how it is disturbed
	arg            uint32 // meaning depends on kind
}

type kind uint8

const (
	beat kind = iota
	online
	connected
	contentFile // arg: routine or 0
	sample
	windowsEvent // arg: place in windowsEvents
	uninstalled
	activity // SentinelOne's; arg: type
	sensorError
	downloadFailed
	telemetry
)

const (
	asIs uint8 = iota
	broken
)

// builder lays the lives out.
type builder struct {
	options Options
	random  *rand.Rand
	start   time.Time
	length  time.Duration
	hosts   []*host
	records []record
	truth   simulator.Truth
	// arrival changes when a record that is made at a time reaches the broker;
	// false: never.
	arrival func(r *record, topic string) bool
}

// New lays out the fleet of a scenario. Same options, same bytes.
func New(o Options) (*Capture, error) {
	s, ok := scenarios()[o.Scenario]
	if !ok {
		return nil, fmt.Errorf("making a capture: expected a scenario of %v, found %q", Names(), o.Scenario)
	}
	if o.Agents < 100 || o.Agents > 100_000 {
		return nil, fmt.Errorf("making a capture: expected 100 to 100000 agents, found %d", o.Agents)
	}
	b := &builder{options: o, random: rand.New(rand.NewPCG(o.Seed, 0x766172)), start: s.start, length: s.length}
	b.truth = simulator.Truth{Scenario: o.Scenario, Agents: o.Agents, Start: s.start, End: s.start.Add(s.length)}
	b.enroll()
	s.happen(b)
	for _, h := range b.hosts {
		b.annoy(h)
		b.emit(h)
	}
	b.disturb()
	slices.SortStableFunc(b.records, func(x, y record) int { return cmp.Compare(x.arrives, y.arrives) })
	if !s.tail {
		// Whoever makes a capture stops; what comes after is in the next one.
		n, _ := slices.BinarySearchFunc(b.records, b.length, func(r record, end time.Duration) int { return cmp.Compare(r.arrives, end) })
		b.records = b.records[:n]
	}
	return &Capture{b: b}, nil
}

// Truth tells what happens in the whole capture.
func (c *Capture) Truth() simulator.Truth { return c.b.truth }

// Next returns the next record, and false at the end.
func (c *Capture) Next() (simulator.Emission, bool) {
	if c.next >= len(c.b.records) {
		return simulator.Emission{}, false
	}
	r := &c.b.records[c.next]
	c.next++
	h := c.b.hosts[r.host]
	value := c.b.render(h, r)
	if r.odd == broken {
		value = value[:len(value)*2/3]
	}
	return simulator.Emission{
		Topic: topicOf(h, r.kind), Key: []byte(h.name), Value: value,
		Time: c.b.start.Add(r.arrives).UnixMilli(),
	}, true
}

func topicOf(h *host, k kind) string {
	switch {
	case k == windowsEvent:
		return "edr.windows.events"
	case k == sample:
		return "edr.process-metrics"
	}
	return [vendors]string{"edr.falcon", "edr.elastic", "edr.s1", "edr.mde", "edr.guard"}[h.vendor]
}

// add notes a record of something that happens at a time.
func (b *builder) add(h *host, k kind, event time.Duration, arg uint32) {
	if event < 0 || event >= b.length {
		return
	}
	b.records = append(b.records, record{arrives: event + 200*time.Millisecond + min(b.exp(time.Second), 15*time.Second), event: event, host: int32(h.n), kind: k, arg: arg})
}

// emit lays out everything periodic of a host and what its downtimes leave. The
// order of the parts is that of the draws, on which the records of a seed depend.
func (b *builder) emit(h *host) {
	b.emitBeats(h)
	if h.metrics {
		b.emitSamples(h)
	}
	for _, d := range h.downs {
		b.emitDowntime(h, d)
	}
	for _, c := range h.versions {
		if up, _ := h.up(c.at); up {
			b.add(h, online, c.at, 0)
			b.add(h, connected, c.at+time.Second, 0)
		}
	}
	for _, c := range h.contents {
		if up, _ := h.up(c.at); up && c.at >= 0 {
			b.add(h, contentFile, c.at, 0)
		}
	}
	if b.random.IntN(2) == 0 { // The rest started before the capture.
		if up, _ := h.up(0); up && h.vendor == falcon {
			b.add(h, online, b.upTo(10*time.Minute), 0)
		}
	}
}

// emitBeats lays out the heartbeats of a host's agent.
func (b *builder) emitBeats(h *host) {
	for t := b.upTo(h.beat); t < b.length; t += h.beat + b.upTo(h.beat/60) - h.beat/120 {
		if up, d := h.up(t); up {
			b.add(h, beat, t, 1)
		} else if h.vendor == sentinelone && d.how != gone {
			b.add(h, beat, t, 0) // The console lists inactive agents, too.
		}
	}
}

// emitSamples lays out the metrics of a host's agent, one a minute.
func (b *builder) emitSamples(h *host) {
	for t := b.upTo(time.Minute); t < b.length; t += time.Minute {
		up, d := h.up(t)
		if !up && d.how != cut {
			continue
		}
		cpu, memory := h.cpu*(0.5+b.random.Float64()), h.memory+4*b.random.Float64()
		if h.use != nil {
			c, m := h.use(t)
			cpu, memory = min(cpu+c, 100), memory+m
		}
		b.add(h, sample, t, uint32(cpu*10)<<16|uint32(min(memory, 65535)))
		if n := len(b.records); !up && n > 0 {
			b.records[n-1].arrives = d.until + b.upTo(20*time.Second) // The shipper catches up.
		}
	}
}

// emitDowntime emits what the beginning and the end of a downtime leave.
func (b *builder) emitDowntime(h *host, d downtime) {
	logs := h.ships != noEvents
	if logs && d.how == shutdown {
		for i, id := range []uint32{evShutdownAsked, evServiceStopped, evLogStopped, evKernelStop} {
			b.add(h, windowsEvent, d.from-8*time.Second+time.Duration(i)*2*time.Second, id)
		}
	}
	if logs && d.how == sleep {
		b.add(h, windowsEvent, d.from-time.Second, evSleep)
	}
	if d.how == gone && h.vendor == falcon {
		b.add(h, uninstalled, d.from-time.Second, 0)
	}
	if d.until >= b.length || d.how == gone {
		return
	}
	switch d.how {
	case shutdown, crash:
		if logs {
			boot := []uint32{evKernelStart, evLogStarted, evServiceRunning}
			if d.how == crash {
				boot = append(boot, evUnclean, evUnexpected, evBugCheck)
			}
			for i, id := range boot {
				b.add(h, windowsEvent, d.until+time.Duration(i)*4*time.Second, id)
			}
		}
		b.add(h, online, d.until+25*time.Second, 0)
	}
	b.add(h, connected, d.until+27*time.Second, uint32((d.until-d.from)/(20*time.Second)))
}

// disturb lets a few records come twice, broken or late, and applies what the
// scenario does to the feeds.
func (b *builder) disturb() {
	kept := b.records[:0:0]
	lateUntil := make([]time.Duration, len(b.hosts))
	slices.SortStableFunc(b.records, func(x, y record) int { return cmp.Compare(x.event, y.event) })
	for _, r := range b.records {
		if b.random.Float64() < 0.0005 {
			lateUntil[r.host] = r.event + b.upTo(5*time.Minute)
		}
		if until := lateUntil[r.host]; r.arrives < until {
			r.arrives = until + b.upTo(time.Second)
		}
		if b.arrival != nil && !b.arrival(&r, topicOf(b.hosts[r.host], r.kind)) {
			continue
		}
		kept = append(kept, r)
		if b.random.Float64() < 0.001 {
			r.arrives += b.upTo(time.Minute)
			kept = append(kept, r)
		}
		if b.random.Float64() < 0.0003 {
			r.odd = broken
			kept = append(kept, r)
		}
	}
	b.records = kept
}
