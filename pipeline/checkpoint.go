package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Checkpoints keeps snapshots of shards outside the gateway, bound to the
// offsets up to which their records were acknowledged. It is safe for
// concurrent use.
type Checkpoints interface {
	// Save keeps a snapshot of the state after all records below offset, and
	// blocks until it is durable. It keeps no byte after it returns.
	Save(ctx context.Context, shard string, offset int64, snapshot []byte) error
	// Load gives the snapshots of a shard to restore, those of the highest
	// offsets first, none beyond committed, until it returns nil, and returns
	// the offset of that one. Without ok there is none that could be restored;
	// the error says why they cannot be read.
	Load(ctx context.Context, shard string, committed int64, restore func(offset int64, snapshot []byte) error) (offset int64, ok bool, err error)
}

const (
	// restTimes is how many times as long as a snapshot took the next is put
	// off at least: the state of many agents must not slow the partition down.
	restTimes = 50
	// closeWithin bounds the last snapshot of a partition that is given up.
	closeWithin = 5 * time.Second
	// loadWithin bounds the look for snapshots; then reading begins earlier.
	loadWithin = time.Minute
)

// checkpoints are those of one worker.
type checkpoints struct {
	store    Checkpoints
	shard    string
	every    time.Duration
	next     time.Time
	offset   int64 // up to where everything was acknowledged; 0: nothing new
	broken   bool  // the state is ahead of what was acknowledged
	snapshot []byte
	written  chan writtenSnapshot // What is being written during a delivery; nil: nothing.
	ctx      context.Context      // of all saving; ends with the partition
	cancel   context.CancelFunc
	saving   chan struct{} // closed when the snapshot is saved; nil before the first
}

func newCheckpoints(store Checkpoints, shard string, every time.Duration) *checkpoints {
	c := &checkpoints{store: store, shard: shard, every: every, next: time.Now().Add(every)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Resume implements event.Resumer: the shard restores the newest of its
// snapshots that is whole.
func (w *worker) Resume(ctx context.Context, committed int64) (int64, bool) {
	c := w.checkpoints
	if c == nil {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, loadWithin)
	defer cancel()
	log, m := w.runner.set.Logger.With("shard", c.shard), w.runner.metrics
	offset, ok, err := c.store.Load(ctx, c.shard, committed, func(offset int64, snapshot []byte) error {
		err := w.shard.Restore(snapshot)
		if err != nil {
			m.restores.WithLabelValues("damaged").Inc()
			log.Warn("a snapshot cannot be used; trying an older one", "offset", offset, "bytes", len(snapshot), "error", err)
		}
		return err
	})
	switch {
	case ok:
		m.restores.WithLabelValues("restored").Inc()
	case err != nil:
		m.restores.WithLabelValues("failed").Inc()
		log.Warn("snapshots cannot be read; state is rebuilt from records", "error", err)
	default:
		m.restores.WithLabelValues("none").Inc()
	}
	return offset, ok
}

// writtenSnapshot is the result of writing a snapshot of the state.
type writtenSnapshot struct {
	began time.Time
	took  time.Duration
	ok    bool
}

// ahead begins to write the state after a batch down while its documents are
// delivered, when it is time: the shard has nothing to do until then, so that
// the partition stands still for what the delivery does not take.
func (w *worker) ahead(b *event.Batch) {
	c := w.checkpoints
	if c == nil || c.broken || c.busy() || len(b.Records) == 0 || b.Records[len(b.Records)-1].Offset+1 < b.Committed {
		return // Or the state is still being rebuilt.
	}
	began := time.Now()
	if began.Before(c.next) {
		return
	}
	c.written = make(chan writtenSnapshot, 1)
	go func() {
		var ok bool
		c.snapshot, ok = w.shard.AppendSnapshot(c.snapshot[:0])
		c.written <- writtenSnapshot{began, time.Since(began), ok}
	}()
}

// note records the outcome of a batch, and keeps the snapshot that was
// written ahead if all of it was acknowledged.
func (w *worker) note(b *event.Batch, acknowledged bool) {
	c := w.checkpoints
	if c == nil {
		return
	}
	began, written := time.Now(), c.written
	var done writtenSnapshot
	if written != nil {
		done = <-written // In any case: the shard may not go on before.
		c.written = nil
	}
	if !acknowledged {
		c.broken = true
	}
	if c.broken || len(b.Records) == 0 {
		return
	}
	offset := b.Records[len(b.Records)-1].Offset + 1
	if offset < b.Committed {
		return // The state is still being rebuilt.
	}
	c.offset = offset
	if written != nil {
		w.keepSnapshot(done, time.Since(began))
	}
}

func (c *checkpoints) busy() bool {
	if c.saving == nil {
		return false
	}
	select {
	case <-c.saving:
		return false
	default:
		return true
	}
}

// keepSnapshot keeps what was written beside the work that goes on; stood is for
// how long the partition stood still for it.
func (w *worker) keepSnapshot(written writtenSnapshot, stood time.Duration) {
	c, m := w.checkpoints, w.runner.metrics
	if !written.ok {
		m.checkpoints.WithLabelValues("impossible").Inc()
		w.checkpoints = nil
		w.runner.set.Logger.Warn("the state of a shard cannot be stored; after a restart it is rebuilt from records", "shard", c.shard)
		return
	}
	c.next = written.began.Add(max(c.every, restTimes*written.took))
	m.snapshotSeconds.Observe(stood.Seconds())
	m.snapshotBytes.Observe(float64(len(c.snapshot)))
	offset := c.offset
	c.offset = 0
	c.saving = make(chan struct{})
	go func() {
		defer close(c.saving)
		if err := c.store.Save(c.ctx, c.shard, offset, c.snapshot); err != nil {
			m.checkpoints.WithLabelValues("failed").Inc()
			w.runner.set.Logger.Warn("a snapshot is not kept", "shard", c.shard, "offset", offset, "error", err)
			return
		}
		m.checkpoints.WithLabelValues("saved").Inc()
	}()
}

// closeCheckpoints keeps a last snapshot, for who takes the partition over.
func (w *worker) closeCheckpoints() {
	c := w.checkpoints
	if c == nil {
		return
	}
	defer c.cancel()
	ctx, cancel := context.WithTimeout(c.ctx, closeWithin)
	defer cancel()
	if !c.wait(ctx) || c.broken || c.offset == 0 {
		return
	}
	began := time.Now()
	var ok bool
	c.snapshot, ok = w.shard.AppendSnapshot(c.snapshot[:0])
	took := time.Since(began)
	if w.keepSnapshot(writtenSnapshot{began, took, ok}, took); w.checkpoints != nil {
		c.wait(ctx)
	}
}

func (c *checkpoints) wait(ctx context.Context) bool {
	if c.saving == nil {
		return true
	}
	select {
	case <-c.saving:
		return true
	case <-ctx.Done():
		return false
	}
}

// shardName names a partition's state among those of all gateways; scope tells
// consumer groups apart that read the same topic.
func shardName(scope string, p event.Partition) string {
	return fmt.Sprintf("%s/%s/%s-%d", scope, p.Topic, p.Prefix, p.Number)
}
