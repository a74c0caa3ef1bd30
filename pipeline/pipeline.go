// Package pipeline runs records from a source through mapping and detection
// into the sinks, and acknowledges a record when, and only when, every
// required sink has everything that it became.
//
// The return value is the acknowledgement: no buffer sits between source and
// sinks, Kafka is the buffer. Mapping and detection run once per record; only
// delivery is retried, with the same bytes and the same ids.
//
// DESIGN.md beside this file has the life of a record, restart and rewind on one
// page, clocks, locks, and what will bite you.
package pipeline

import (
	"context"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Source delivers records until its input or ctx ends.
//
// For every partition that it is given it calls open once and hands that
// worker the partition's batches in order, one at a time; different partitions
// run concurrently. A nil return from Handle permits the source to commit up
// to and including the batch's last record, never more. When a partition is
// revoked, or ctx ends, the source lets a batch in progress finish for a while,
// then cancels the context of Handle, waits for it, commits what was
// acknowledged and calls Close.
//
// Run returns nil when a finite input is exhausted or ctx ended, and an error
// only for what restarting cannot cure.
type Source interface {
	Run(ctx context.Context, open func(ctx context.Context, p event.Partition) (event.Worker, error)) error
}

// Mapper turns a record into events. It resets and fills a scratch event of
// its own and calls emit once per event, in order; the event is valid until
// emit returns. An error is about the record (fault.Permanent) and means that
// nothing was emitted. A Mapper belongs to one goroutine.
type Mapper interface {
	Map(p *event.Partition, r *event.Record, emit func(*event.Event)) error
}

// Processor changes an event after its mapping and before it is judged, so that
// rules and sinks see the same. It is shared by all shards: safe for concurrent
// use.
type Processor interface {
	Process(e *event.Event)
}

// PerShard is a Processor that has a state for each shard: a shard uses what
// ForShard returns in its place, in one goroutine. Where that has a method Close()
// it is called when the shard is given up.
type PerShard interface {
	Processor
	ForShard() Processor
}

// Detector judges events on a clock that only moves forward. Detect first
// moves the clock to now (nanoseconds since 1970), which fires the timers that
// are due, each stamped with its due time; then it judges e (nil: only the
// clock moves) and marks it with the rules that it matched. Alerts go to emit,
// valid until it returns. A Detector is the state of one shard and belongs to
// one goroutine.
type Detector interface {
	Detect(now int64, e *event.Event, emit func(alert *event.Event))
}

// CanaryDetector is a Detector that judges the gateway's own canary agents,
// apart from all others. Where it is none they are left out.
type CanaryDetector interface {
	// Canary takes an event of a canary, valid until it returns. Now is the
	// broker's time of its record, nanoseconds since 1970, which is not that of
	// the feed: records of the feed may be hours old.
	Canary(now int64, e *event.Event)
}

// Rebuilder is a Detector that wants to know whether the records that follow
// are muted: judged before, and read again to rebuild state.
type Rebuilder interface{ Rebuild(on bool) }

// RecordJudge is a Mapper whose records are no events, such as what other
// gateways tell: they leave no document but the alerts that Judge raises. It is
// called instead of Map; an error is about the record.
type RecordJudge interface {
	Mapper
	Judge(now int64, p *event.Partition, r *event.Record, emit func(alert *event.Event)) error
}

// Sink writes documents to one destination.
//
// Write makes one attempt and blocks until it knows the outcome of as many
// documents as it can; results has the length of docs and arrives zeroed
// (Pending). On nil every result is final. On an error (classified by package
// fault) those that are Pending are sent again later, by the caller: the same
// bytes, the same ids. Batching, splitting and limits on concurrent requests
// are the sink's own. Write is safe for concurrent use, observes ctx, and keeps
// no document after it returns.
type Sink interface {
	Write(ctx context.Context, docs []*event.Document, results []event.Result) error
}

// DeadLetter keeps what could not be used. Bury blocks until it is durable;
// an error means that nothing may be acknowledged.
type DeadLetter interface {
	Bury(ctx context.Context, dead []event.Dead) error
}
