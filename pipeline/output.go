package pipeline

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// Output is a sink with the terms on which the pipeline uses it.
type Output struct {
	Name string
	Sink Sink
	// Required sinks hold back the acknowledgement until they have everything.
	// What an optional sink cannot take within OptionalPatience goes to the
	// dead letter.
	Required bool
	Route    Route
}

// Health is the state of one output as readiness sees it.
type Health struct {
	Name     string
	Required bool
	Err      error     // nil when the last write succeeded
	Since    time.Time // since when Err holds
}

// output delivers to one sink: it routes, retries and counts. It is shared by
// all workers and safe for concurrent use.
type output struct {
	Output
	backoff  Backoff
	patience time.Duration
	dead     DeadLetter
	log      *slog.Logger
	metrics  *metrics

	mu     sync.Mutex
	health Health
}

// delivery is one worker's scratch space for one output.
type delivery struct {
	out     *output
	send    []*event.Document
	results []event.Result
	dead    []event.Dead
}

// deliver blocks until every document has a final outcome in the sink, or ctx
// ends. Only what is pending is sent again, in the same order.
func (d *delivery) deliver(ctx context.Context, docs []*event.Document) error {
	o := d.out
	defer func() { o.metrics.abandoned(o.Name, len(d.send)) }()
	d.send = d.send[:0]
	for _, doc := range docs {
		if o.Route.Takes(doc) {
			d.send = append(d.send, doc)
		}
	}
	o.metrics.received(o.Name, len(docs))
	o.metrics.outcome(o.Name, event.Filtered, len(docs)-len(d.send))
	if len(d.send) == 0 {
		return nil
	}
	started := time.Now()
	for attempt := 0; ; attempt++ {
		err := d.attempt(ctx)
		if len(d.send) == 0 {
			o.setHealth(nil)
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f := fault.Of(err)
		if f == nil {
			f = fault.New(fault.Transient, fault.Internal, "sink left %d documents undecided", len(d.send))
		}
		o.setHealth(f)
		o.metrics.retry(o.Name, f.Reason)
		if !o.Required && time.Since(started) > o.patience {
			return d.giveUp(ctx, f)
		}
		if !o.backoff.wait(ctx, attempt, f.RetryAfter) {
			return context.Cause(ctx)
		}
	}
}

// attempt writes d.send once and keeps in it what is still pending.
func (d *delivery) attempt(ctx context.Context) error {
	o := d.out
	d.results = append(d.results[:0], make([]event.Result, len(d.send))...)
	err := o.Sink.Write(ctx, d.send, d.results)
	if err != nil && fault.Of(err).Class == fault.Permanent {
		// A permanent failure of the whole call concerns what it left open.
		for i := range d.results {
			if d.results[i].Outcome == event.Pending {
				d.results[i] = event.Result{Outcome: event.Refused, Err: err}
			}
		}
	}
	d.dead = d.dead[:0]
	for i, doc := range d.send {
		if d.results[i].Outcome == event.Refused {
			d.dead = append(d.dead, o.deadDocument(doc, d.results[i].Err))
		}
	}
	// The refused are kept first: if that fails, they are pending and will be
	// refused once more.
	buried := bury(ctx, o.dead, d.dead, o.backoff, o.log, o.metrics)
	var counts [event.Filtered + 1]int
	pending := d.send[:0]
	for i, doc := range d.send {
		outcome := d.results[i].Outcome
		if outcome == event.Pending || outcome == event.Refused && buried != nil {
			pending = append(pending, doc)
			continue
		}
		counts[outcome]++
	}
	d.send = pending
	for outcome, n := range counts {
		o.metrics.outcome(o.Name, event.Outcome(outcome), n)
	}
	return err
}

// giveUp dead-letters what an optional sink did not take.
func (d *delivery) giveUp(ctx context.Context, why *fault.Error) error {
	o := d.out
	d.dead = d.dead[:0]
	for _, doc := range d.send {
		d.dead = append(d.dead, o.deadDocument(doc, why))
	}
	if err := bury(ctx, o.dead, d.dead, o.backoff, o.log, o.metrics); err != nil {
		return err
	}
	o.metrics.outcome(o.Name, event.Refused, len(d.send))
	d.send = d.send[:0]
	return nil
}

func (o *output) deadDocument(doc *event.Document, err error) event.Dead {
	f := fault.Of(err)
	if f == nil {
		f = fault.New(fault.Permanent, fault.Rejected, "refused without a reason")
	}
	dead := event.Dead{
		Offset:   doc.Offset,
		Time:     doc.Received,
		Key:      []byte(doc.AgentID),
		Original: doc.Body,
		Stage:    o.Name,
		Reason:   string(f.Reason),
		Detail:   f.Error(),
	}
	if doc.Partition != nil {
		dead.Partition = *doc.Partition
	}
	return dead
}

// setHealth records the outcome of a write and logs changes, not repetitions.
func (o *output) setHealth(f *fault.Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.health.Err
	if f == nil {
		o.health.Err = nil
		if was != nil {
			o.log.Info("sink recovered", "sink", o.Name, "after", time.Since(o.health.Since).Round(time.Second))
		}
		o.metrics.healthy(o.Name, true)
		return
	}
	o.health.Err = f
	o.metrics.healthy(o.Name, false)
	if was == nil || was.Error() != f.Error() {
		if was == nil {
			o.health.Since = time.Now()
		}
		o.log.Warn("sink does not take documents; fetching pauses until it does",
			"sink", o.Name, "required", o.Required, "class", f.Class.String(), "reason", string(f.Reason), "error", f.Error())
	}
}

func (o *output) currentHealth() Health {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.health
}

// bury writes dead letters until they are durable or ctx ends.
func bury(ctx context.Context, to DeadLetter, dead []event.Dead, backoff Backoff, log *slog.Logger, m *metrics) error {
	if len(dead) == 0 {
		return nil
	}
	for attempt := 0; ; attempt++ {
		err := to.Bury(ctx, dead)
		if err == nil {
			for i := range dead {
				m.buried(dead[i].Stage, dead[i].Reason)
			}
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if attempt == 0 {
			log.Error("dead letter cannot be written; nothing is acknowledged until it can", "error", err)
		}
		if !backoff.wait(ctx, attempt, fault.Of(err).RetryAfter) {
			return context.Cause(ctx)
		}
	}
}
