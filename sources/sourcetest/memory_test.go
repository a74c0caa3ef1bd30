package sourcetest_test

import (
	"context"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sources/sourcetest"
)

// memory is the reference source: the shortest that keeps the contract.
type memory struct {
	in Input
	mu sync.Mutex
	// acked is the number of acknowledged records of each partition.
	acked []int
}

// Input aliases the suite's type.
type Input = sourcetest.Input

func (m *memory) Run(ctx context.Context, open func(context.Context, event.Partition) (event.Worker, error)) error {
	group, inner := errgroup.WithContext(ctx)
	for p := range m.in {
		group.Go(func() error { return m.partition(inner, p, open) })
	}
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (m *memory) partition(ctx context.Context, p int, open func(context.Context, event.Partition) (event.Worker, error)) error {
	batch := event.Batch{Partition: event.Partition{Prefix: "memory", Number: int32(p)}}
	worker, err := open(ctx, batch.Partition)
	if err != nil {
		return err
	}
	defer worker.Close()
	m.mu.Lock()
	next := m.acked[p]
	m.mu.Unlock()
	batch.Committed = int64(next)
	for next < len(m.in[p]) && ctx.Err() == nil {
		batch.Records = batch.Records[:0]
		for ; next < len(m.in[p]) && len(batch.Records) < 7; next++ {
			batch.Records = append(batch.Records, event.Record{Offset: int64(next), Value: []byte(m.in[p][next])})
		}
		if err := worker.Handle(ctx, &batch); err != nil {
			return err
		}
		m.mu.Lock()
		m.acked[p] = next
		m.mu.Unlock()
	}
	return nil
}

func TestContract(t *testing.T) {
	sourcetest.Run(t, func(_ *testing.T, in Input) func() sourcetest.Source {
		m := &memory{in: in, acked: make([]int, len(in))}
		return func() sourcetest.Source { return m }
	})
}
