package pipeline

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Settings are what the composition root gives to a Runner.
type Settings struct {
	NewMapper   func() Mapper
	NewDetector func(p event.Partition) Detector
	// Processors change every event between mapping and detection, in order.
	Processors []Processor
	Outputs    []Output
	DeadLetter DeadLetter
	// Checkpoints, where set, keeps the state of detectors that are
	// Snapshotters, every CheckpointEvery at most.
	Checkpoints     Checkpoints
	CheckpointEvery time.Duration
	// Pacer, where set, lets all partitions be judged in step.
	Pacer *Pacer
	// Observe, where set, sees the documents of a batch once all required
	// sinks have them. It must not block and must not keep them.
	Observe func(docs []*event.Document)
	Logger  *slog.Logger
	Metrics prometheus.Registerer
	// Now is the clock of event.ingested, nothing else; default time.Now.
	Now func() time.Time
}

// Runner makes the workers of a source's partitions and owns what they share.
// It is safe for concurrent use.
type Runner struct {
	cfg     Config
	set     Settings
	outputs []*output
	metrics *metrics
}

// NewRunner returns a runner; it starts nothing.
func NewRunner(cfg Config, set Settings) (*Runner, error) {
	m, err := newMetrics(set.Metrics)
	if err != nil {
		return nil, err
	}
	if set.Now == nil {
		set.Now = time.Now
	}
	r := &Runner{cfg: cfg, set: set, metrics: m}
	for _, out := range set.Outputs {
		r.outputs = append(r.outputs, &output{
			Output: out, backoff: cfg.Retry, patience: cfg.OptionalPatience, dead: set.DeadLetter,
			log: set.Logger, metrics: m, health: Health{Name: out.Name, Required: out.Required},
		})
		m.prepare(out.Name)
	}
	return r, nil
}

// Health returns the state of every output.
func (r *Runner) Health() []Health {
	all := make([]Health, 0, len(r.outputs))
	for _, o := range r.outputs {
		all = append(all, o.currentHealth())
	}
	return all
}

// Publish delivers documents that no record became, such as those about the
// gateway itself, to all outputs but the named ones. It returns when all have
// them; those that take too long have a dead letter instead, if they are not
// required.
func (r *Runner) Publish(ctx context.Context, docs []*event.Document, but ...string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, o := range r.outputs {
		if slices.Contains(but, o.Name) {
			continue
		}
		d := &delivery{out: o}
		group.Go(func() error { return d.deliver(ctx, docs) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if r.set.Observe != nil {
		r.set.Observe(docs)
	}
	return nil
}

// Open returns the worker of a partition; it is what a Source calls.
func (r *Runner) Open(_ context.Context, p event.Partition) (event.Worker, error) {
	return r.pace(p, r.worker(p, NewShard(r.cfg.Shard(), r.set.NewMapper(), r.set.NewDetector(p), r.set.Processors...))), nil
}

// OpenKept returns Open for a source whose partitions go on where they were:
// their state is kept as Checkpoints. Scope, such as the consumer group, is
// part of its name.
func (r *Runner) OpenKept(scope string) func(context.Context, event.Partition) (event.Worker, error) {
	return func(_ context.Context, p event.Partition) (event.Worker, error) {
		w := r.worker(p, NewShard(r.cfg.Shard(), r.set.NewMapper(), r.set.NewDetector(p), r.set.Processors...))
		r.keep(w, shardName(scope, p))
		return r.pace(p, w), nil
	}
}

// OpenJudge returns the worker of a partition whose records are no events. What
// the judge raises goes the way of all alerts. Its state is kept under the name,
// where it is a Snapshotter.
func (r *Runner) OpenJudge(p event.Partition, judge RecordJudge, name string) event.Worker {
	w := r.worker(p, NewShard(r.cfg.Shard(), judge, nil))
	r.keep(w, name)
	return w
}

// keep makes the worker's state one of the Checkpoints.
func (r *Runner) keep(w *worker, name string) {
	if _, ok := w.shard.keeper(); ok && r.set.Checkpoints != nil {
		w.checkpoints = newCheckpoints(r.set.Checkpoints, name, r.set.CheckpointEvery)
	}
}

func (r *Runner) worker(p event.Partition, shard *Shard) *worker {
	w := &worker{
		runner: r,
		shard:  shard,
		counts: r.metrics.partition(p.Topic),
		others: newUnmappedCounts(r.metrics, p.Topic),
		events: make(map[string]prometheus.Counter),
		alerts: make(map[[2]string]prometheus.Counter),
	}
	for _, o := range r.outputs {
		w.deliveries = append(w.deliveries, &delivery{out: o})
	}
	return w
}

// worker takes the batches of one partition through its shard to the sinks.
type worker struct {
	runner      *Runner
	shard       *Shard
	member      *Member // nil: its records wait for nobody
	until       int64   // end of the step that is judged, where it is paced
	muted       bool    // the records were judged before
	counts      *partitionCounts
	others      *unmappedCounts
	deliveries  []*delivery
	checkpoints *checkpoints // nil: no state is kept
	decoder     Decoder      // nil: values are taken as they are
	seen        ShardStats
	// Counters by event.action, and by kind and severity of alerts.
	events map[string]prometheus.Counter
	alerts map[[2]string]prometheus.Counter
}

// Handle implements event.Worker.
func (w *worker) Handle(ctx context.Context, b *event.Batch) error {
	if w.member != nil {
		defer w.member.Exit()
		if err := w.member.Enter(ctx); err != nil {
			return err
		}
	}
	started := time.Now()
	w.shard.Reset()
	w.shard.Ingest(w.runner.set.Now().Truncate(time.Millisecond).UnixNano())
	var outcomes [DuplicateRecord + 1]int
	live := 0
	for i := range b.Records {
		rec, err := w.decode(ctx, &b.Partition, &b.Records[i])
		if err != nil {
			w.others.settle(false)
			w.note(b, false)
			return err
		}
		muted := rec.Offset < b.Committed
		if w.member != nil {
			if err := w.pass(ctx, rec); err != nil {
				w.counts.abandoned.Add(float64(live))
				w.counts.received.Add(float64(live))
				w.note(b, false)
				return err
			}
		}
		w.muted = muted
		outcome := w.shard.Process(&b.Partition, rec, muted)
		if muted {
			w.counts.rebuilt.Inc()
			continue
		}
		outcomes[outcome]++
		live++
		if outcome == Other {
			w.others.add(w.shard.Shape())
		}
	}
	w.counts.received.Add(float64(live))
	w.counts.inFlight.Add(float64(live))
	defer w.counts.inFlight.Sub(float64(live))
	mapped := time.Now()
	docs := w.shard.Documents()
	w.ahead(b)
	if err := w.write(ctx, docs); err != nil {
		w.counts.abandoned.Add(float64(live))
		w.others.settle(false)
		w.note(b, false)
		return err
	}
	// Counted when the outcome is final: a batch that is given up with its
	// partition is nobody's outcome here and arrives again.
	w.counts.outcomes(outcomes)
	w.others.settle(true)
	w.countShard(docs)
	w.runner.metrics.batch(started, mapped)
	if w.runner.set.Observe != nil {
		w.runner.set.Observe(docs)
	}
	w.note(b, true)
	return nil
}

// write delivers documents to every sink and dead records to the dead letter,
// all at once, and returns when all of them are done.
func (w *worker) write(ctx context.Context, docs []*event.Document) error {
	r := w.runner
	group, ctx := errgroup.WithContext(ctx)
	for _, d := range w.deliveries {
		group.Go(func() error { return d.deliver(ctx, docs) })
	}
	group.Go(func() error { return bury(ctx, r.set.DeadLetter, w.shard.Dead(), r.cfg.Retry, r.set.Logger, r.metrics) })
	return group.Wait()
}

// countShard adds what the shard noticed since the last batch.
func (w *worker) countShard(docs []*event.Document) {
	m, now := w.runner.metrics, w.shard.Stats()
	m.late.Add(float64(now.Late - w.seen.Late))
	m.clock.WithLabelValues("future").Add(float64(now.FutureClock - w.seen.FutureClock))
	m.clock.WithLabelValues("ancient").Add(float64(now.AncientClock - w.seen.AncientClock))
	m.clock.WithLabelValues("missing").Add(float64(now.MissingClock - w.seen.MissingClock))
	w.seen = now
	w.counts.watermark.Set(float64(w.shard.Now()) / 1e9)
	for _, d := range docs {
		if d.Stream == event.Alerts {
			w.alertCounter(d.AlertKind, d.Severity).Inc()
		} else {
			w.eventCounter(d.Action).Inc()
		}
	}
}

// eventCounter returns the counter of an action. Texts of documents are valid
// until the batch ends and counters keep their labels: those are copied.
func (w *worker) eventCounter(action string) prometheus.Counter {
	c, ok := w.events[action]
	if !ok {
		action = strings.Clone(action)
		c = w.runner.metrics.events.WithLabelValues(action)
		w.events[action] = c
	}
	return c
}

func (w *worker) alertCounter(kind, severity string) prometheus.Counter {
	c, ok := w.alerts[[2]string{kind, severity}]
	if !ok {
		kind, severity = strings.Clone(kind), strings.Clone(severity)
		c = w.runner.metrics.alerts.WithLabelValues(kind, severity)
		w.alerts[[2]string{kind, severity}] = c
	}
	return c
}

// Close implements event.Worker. A detector or processor that keeps shared accounts
// (how many keys it holds) closes them.
func (w *worker) Close() {
	w.closeCheckpoints()
	for _, part := range []any{w.shard.detector, w.shard.judge} {
		if c, ok := part.(interface{ Close() }); ok {
			c.Close()
		}
	}
	w.shard.Close()
}
