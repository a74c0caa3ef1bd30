package pipeline

import (
	"context"
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// PartitionName names a partition equally in all gateways.
func PartitionName(p event.Partition) string {
	return p.Topic + "[" + strconv.FormatInt(int64(p.Number), 10) + "]" + p.Prefix
}

// pacedWorker is a worker whose partition is judged in step with the others.
type pacedWorker struct {
	*worker
	*Member
}

// pace makes the worker's partition one of the pacer's, where there is one.
func (r *Runner) pace(p event.Partition, w *worker) event.Worker {
	if r.set.Pacer == nil {
		return w
	}
	w.member = r.set.Pacer.Join(PartitionName(p), w.tick)
	return pacedWorker{w, w.member}
}

// Close implements event.Worker.
func (w pacedWorker) Close() {
	w.Leave()
	w.worker.Close()
}

// Resume implements event.Resumer.
func (w pacedWorker) Resume(ctx context.Context, committed int64) (int64, bool) {
	offset, ok := w.worker.Resume(ctx, committed)
	if ok {
		w.muted = offset < committed
		w.Restored(w.shard.Now())
	}
	return offset, ok
}

// pass waits until the steps before that of a record are closed. A record
// without a broker's time has that of the shard.
func (w *worker) pass(ctx context.Context, r *event.Record) error {
	at := r.Time * int64(time.Millisecond)
	if at == 0 {
		at = w.shard.Now()
	}
	if at < w.until || at == 0 {
		return nil
	}
	until, err := w.member.Pass(ctx, at, func(end int64) { w.shard.Tick(end, w.muted) })
	if err == nil {
		w.until = until
	}
	return err
}

// tick moves the partition to the end of a step of which it has no record, and
// delivers what became due.
func (w *worker) tick(ctx context.Context, end int64) error {
	w.shard.Reset()
	w.shard.Ingest(w.runner.set.Now().Truncate(time.Millisecond).UnixNano())
	w.shard.Tick(end, w.muted)
	w.until = max(w.until, end)
	docs := w.shard.Documents()
	if len(docs) == 0 {
		return nil
	}
	if err := w.write(ctx, docs); err != nil {
		if w.checkpoints != nil {
			w.checkpoints.broken = true // The state is ahead of what was delivered.
		}
		return err
	}
	w.countShard(docs)
	if w.runner.set.Observe != nil {
		w.runner.set.Observe(docs)
	}
	return nil
}
