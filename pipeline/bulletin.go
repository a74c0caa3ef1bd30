package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Bulletin delivers alerts that no record of a partition raises, such as those
// about the whole fleet at the closing of a step, the way of all alerts. It is
// safe for concurrent use, which takes turns.
type Bulletin struct {
	mu sync.Mutex
	w  *worker
}

// NewBulletin returns one of the runner's.
func (r *Runner) NewBulletin(name string) *Bulletin {
	return &Bulletin{w: r.worker(event.Partition{Topic: name}, NewShard(r.cfg.Shard(), nil, nil))}
}

// Publish delivers the alerts that raise emits, each valid until emit returns,
// and returns when all required sinks have them. At is their time, nanoseconds
// since 1970.
func (b *Bulletin) Publish(ctx context.Context, at int64, raise func(emit func(alert *event.Event))) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.w.shard
	s.Reset()
	s.Ingest(b.w.runner.set.Now().Truncate(time.Millisecond).UnixNano())
	s.Raise(at, raise)
	docs := s.Documents()
	if len(docs) == 0 {
		return nil
	}
	if err := b.w.write(ctx, docs); err != nil {
		return err
	}
	b.w.countShard(docs)
	if b.w.runner.set.Observe != nil {
		b.w.runner.set.Observe(docs)
	}
	return nil
}
