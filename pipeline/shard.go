package pipeline

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// ShardConfig are the limits of time and memory by which a shard judges.
type ShardConfig struct {
	// DedupeWindow is for how long a repeated vendor record id counts as a
	// duplicate, on the shard's clock. 0 switches it off.
	DedupeWindow time.Duration
	// DedupeLimit bounds the ids remembered, at 16 to 32 bytes each.
	DedupeLimit int
	// DedupeCoordinates also treats a repeated (partition, offset) as a
	// duplicate: captures can hold one record twice, a Kafka partition cannot.
	DedupeCoordinates bool
	// Lateness is how far an event may lie behind the clock without being late.
	Lateness time.Duration
	// MaxFuture and MaxAge bound an event's time against its broker's
	// timestamp; beyond them the event is kept and marked in edr.clock.
	MaxFuture, MaxAge time.Duration
}

// DefaultShardConfig returns the settings that suit a fleet of well-kept clocks.
func DefaultShardConfig() ShardConfig {
	return ShardConfig{
		DedupeWindow: time.Hour,
		DedupeLimit:  200_000,
		Lateness:     event.DefaultLateness,
		MaxFuture:    10 * time.Minute,
		MaxAge:       7 * 24 * time.Hour,
	}
}

// RecordOutcome is how the processing of one record ended.
type RecordOutcome uint8

// The outcomes of a record. Every record has exactly one.
const (
	Mapped          RecordOutcome = iota // a mapping took it
	Other                                // no mapping takes it; it travels as event.action: other
	DeadLettered                         // it could not be used
	FilteredOut                          // it carries nothing, a tombstone, or is of a canary agent
	DuplicateRecord                      // it was judged before
)

// String returns the metric label. Other is a way of being mapped.
func (o RecordOutcome) String() string {
	return [...]string{"mapped", "mapped", "dead", "filtered", "duplicate"}[o]
}

// Shard takes the records of one partition (or of one replayed file) through
// mapping and detection and keeps what they became until Reset. It belongs to
// one goroutine and allocates nothing per record in the steady state.
type Shard struct {
	cfg      ShardConfig
	mapper   Mapper
	judge    RecordJudge // nil: records are events
	detector Detector
	clock    clock
	dedupe   *dedupe
	out      documents

	processors []Processor

	// State of the record in progress, read by the emit callbacks, which are
	// made once because a closure per record would allocate.
	partition *event.Partition
	record    *event.Record
	tick      event.Record // stands for a record where only the clock moves
	ordinal   int
	repeated  bool
	other     bool
	canary    bool
	kind      string // RecordType of the last event
	muted     bool
	ingested  int64 // what event.ingested gets; 0: nothing
	onEvent   func(*event.Event)
	onAlert   func(*event.Event)
	id        []byte

	stats ShardStats
}

// ShardStats counts what the outcomes of records do not show.
type ShardStats struct {
	Events, Alerts, Late, FutureClock, AncientClock, MissingClock uint64
}

// NewShard returns a shard with state of its own. A nil detector only maps.
// Every event goes through the processors in their order.
func NewShard(cfg ShardConfig, m Mapper, d Detector, processors ...Processor) *Shard {
	s := &Shard{cfg: cfg, mapper: m, detector: d, dedupe: newDedupe(cfg.DedupeWindow, cfg.DedupeLimit)}
	for _, p := range processors {
		if per, ok := p.(PerShard); ok {
			p = per.ForShard()
		}
		s.processors = append(s.processors, p)
	}
	s.judge, _ = m.(RecordJudge)
	s.partition = &event.Partition{}
	s.onEvent = s.event
	s.onAlert = s.alert
	return s
}

// Close releases what the shard's processors hold. The shard is not used
// afterwards.
func (s *Shard) Close() {
	for _, p := range s.processors {
		if c, ok := p.(interface{ Close() }); ok {
			c.Close()
		}
	}
}

// Documents returns what the records since Reset became; valid until Reset.
func (s *Shard) Documents() []*event.Document { return s.out.pointers() }

// Dead returns the records since Reset that could not be used.
func (s *Shard) Dead() []event.Dead { return s.out.dead }

// Shape describes the record that Process called Other last; valid until the
// next call.
func (s *Shard) Shape() string { return s.kind }

// Stats returns running totals since the shard was made.
func (s *Shard) Stats() ShardStats { return s.stats }

// Now returns the shard's clock in nanoseconds since 1970.
func (s *Shard) Now() int64 { return s.clock.now }

// Reset forgets documents and dead letters; detection state stays.
func (s *Shard) Reset() { s.out.reset() }

// Ingest says when the records that follow were ingested, in nanoseconds since
// 1970: event.ingested of their documents. Without it they have none, so that
// the same file gives the same documents at any time.
func (s *Shard) Ingest(at int64) { s.ingested = at }

// Process takes one record through the shard. A muted record only rebuilds
// state: it is mapped and judged, and leaves no document.
func (s *Shard) Process(p *event.Partition, r *event.Record, muted bool) RecordOutcome {
	s.partition, s.record = p, r
	s.mute(muted)
	s.tick.Offset = r.Offset
	s.ordinal, s.repeated, s.other, s.canary = 0, false, false, false
	before := s.clock
	if r.Time > 0 {
		s.clock.broker(r.Time)
	}
	switch {
	case s.cfg.DedupeCoordinates && s.dedupe.seen(coordinates(p, r), s.clock.now):
		return DuplicateRecord
	case r.Fault != nil && r.Raw != nil:
		s.bury("decode", r.Fault)
		return DeadLettered
	case r.Fault != nil:
		s.bury("source", r.Fault)
		return DeadLettered
	case r.Value == nil:
		return FilteredOut
	}
	if err := s.mapSafely(); err != nil {
		s.bury("mapping", err)
		return DeadLettered
	}
	if s.canary {
		s.clock = before // It is not the time of the feed: that may lie hours behind.
	}
	switch {
	case s.repeated:
		return DuplicateRecord
	case s.canary:
		return FilteredOut
	case s.other:
		return Other
	}
	return Mapped
}

// Tick moves the clock to a time at which no record came, which fires what is
// due until then. Muted as Process is.
func (s *Shard) Tick(now int64, muted bool) {
	s.mute(muted)
	s.record = &s.tick
	s.tick = event.Record{Offset: s.tick.Offset, Time: now / int64(time.Millisecond)}
	s.clock.now = max(s.clock.now, now)
	if s.detector != nil {
		s.detector.Detect(s.clock.now, nil, s.onAlert)
	}
}

// Raise makes documents of the alerts that find emits, at a time at which no
// record came.
func (s *Shard) Raise(at int64, find func(emit func(alert *event.Event))) {
	s.Tick(at, false)
	find(s.onAlert)
}

// mute says whether what follows leaves documents.
func (s *Shard) mute(on bool) {
	if on == s.muted {
		return
	}
	s.muted = on
	if d, ok := s.detector.(Rebuilder); ok {
		d.Rebuild(on)
	}
}

// mapSafely turns a panic of the mapper into a dead letter: one record that
// uncovers a defect must not take the other hosts' telemetry down with it.
func (s *Shard) mapSafely() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Permanent, fault.Internal, "mapping panicked: %v", p)
		}
	}()
	if s.judge != nil {
		return s.judge.Judge(s.clock.now, s.partition, s.record, s.onAlert)
	}
	return s.mapper.Map(s.partition, s.record, s.onEvent)
}

// coordinates hashes where a record stands.
func coordinates(p *event.Partition, r *event.Record) uint64 {
	var room [128]byte
	return xxhash.Sum64(event.AppendID(room[:0], p, r.Offset, -1))
}

// identity hashes the vendor's id of a record together with what the record says
// and when: a vendor that sends a record again sends it unchanged, but a field
// that somebody masked, or that is constant at one customer, must not turn every
// record after the first into a duplicate.
func identity(e *event.Event) uint64 {
	var d xxhash.Digest
	d.Reset()
	var room [8]byte
	if at := e.Get(ecs.Timestamp); at != nil {
		d.Write(binary.LittleEndian.AppendUint64(room[:0], uint64(at.Time())))
	}
	for _, part := range []string{e.Str(ecs.EventCode), e.Str(ecs.EventAction), e.RecordID} {
		d.WriteString(part)
		d.Write([]byte{0})
	}
	return d.Sum64()
}

// event takes one event that the mapper made of the record in progress.
func (s *Shard) event(e *event.Event) {
	if s.ordinal == 0 && e.RecordID != "" {
		s.repeated = s.dedupe.seen(identity(e), s.clock.now)
	}
	if s.repeated {
		return
	}
	s.other, s.kind = e.Mapped == "", e.RecordType
	e.Feed = s.partition.Topic
	s.stampTime(e)
	e.Clock = s.clock.now
	s.id = event.AppendID(s.id[:0], s.partition, s.record.Offset, s.ordinal)
	s.ordinal++
	e.Set(ecs.EventID, event.CleanString(event.View(s.id)))
	for _, p := range s.processors {
		p.Process(e)
	}
	if e.CanaryOf(s.record) {
		s.canary = true
		if d, ok := s.detector.(CanaryDetector); ok && !s.muted {
			d.Canary(s.record.Time*int64(time.Millisecond), e)
		}
		return
	}
	if s.detector != nil {
		s.detector.Detect(s.clock.now, e, s.onAlert)
	}
	s.stats.Events++
	if !s.muted {
		if s.ingested != 0 {
			e.Set(ecs.EventIngested, event.Time(s.ingested))
		}
		s.out.addEvent(e, s.partition, s.record)
	}
}

// alert takes one alert that the detector raised.
func (s *Shard) alert(a *event.Event) {
	if s.muted {
		return
	}
	s.stats.Alerts++
	if s.ingested != 0 {
		a.Set(ecs.EventIngested, event.Time(s.ingested))
	}
	s.out.addAlert(a, s.partition, s.record)
}

// stampTime settles the event's time, moves the clock where nothing better
// did, and marks a time that cannot be right.
func (s *Shard) stampTime(e *event.Event) {
	broker := s.record.Time * int64(time.Millisecond)
	ts := e.Get(ecs.Timestamp)
	if ts == nil {
		s.stats.MissingClock++
		e.Append(ecs.EDRClock, "missing")
		e.Set(ecs.Timestamp, event.Time(max(broker, s.clock.now)))
		return
	}
	at := ts.Time()
	future, ancient := false, false
	if broker > 0 {
		future = at-broker > int64(s.cfg.MaxFuture)
		ancient = broker-at > int64(s.cfg.MaxAge)
		if delay := broker - at; delay > 0 && !ancient {
			e.Set(ecs.EDRFeedDelaySeconds, event.Float(float64(delay/int64(time.Millisecond))/1000))
		}
		if !e.Has(ecs.EventCreated) {
			e.Set(ecs.EventCreated, event.Time(broker))
		}
	} else {
		future = s.clock.source(at)
		ancient = s.clock.now-at > int64(s.cfg.MaxAge)
	}
	if future {
		s.stats.FutureClock++
		e.Append(ecs.EDRClock, "future")
	}
	if ancient {
		s.stats.AncientClock++
		e.Append(ecs.EDRClock, "ancient")
	}
	if s.clock.now-at > int64(s.cfg.Lateness) {
		s.stats.Late++
		e.Late = true
	}
}

// bury keeps the record in progress, as its source delivered it, with the
// reason why it could not be used.
func (s *Shard) bury(stage string, err error) {
	if s.muted {
		return
	}
	original := s.record.Value
	if s.record.Raw != nil {
		original = s.record.Raw
	}
	f := fault.Of(err)
	s.out.dead = append(s.out.dead, event.Dead{
		Partition: *s.partition,
		Offset:    s.record.Offset,
		Time:      s.record.Time,
		Key:       s.record.Key,
		Headers:   s.record.Headers,
		Original:  original,
		Stage:     stage,
		Reason:    string(f.Reason),
		Detail:    fmt.Sprint(err),
	})
}
