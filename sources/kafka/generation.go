package kafka

import (
	"context"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// generation is the time between two rebalances: the partitions that this
// member owns meanwhile, and their commits, which the brokers fence by it.
type generation struct {
	source *Source
	gen    *kafkago.Generation
	mu     sync.Mutex // of commit
	parts  []*partition
}

func (s *Source) newGeneration(gen *kafkago.Generation) *generation {
	g := &generation{source: s, gen: gen}
	for topic, assignments := range gen.Assignments {
		for _, a := range assignments {
			g.parts = append(g.parts, newPartition(s, topic, int32(a.ID), a.Offset, g.commit))
		}
	}
	return g
}

// run consumes until the generation (revoked) or ctx ends, or a partition
// fails. When it returns every worker was awaited, what it acknowledged was
// committed, and it was closed, in this order.
func (g *generation) run(ctx, revoked context.Context, open func(context.Context, event.Partition) (event.Worker, error)) error {
	s := g.source
	fetching, stopFetching := context.WithCancel(ctx)
	defer stopFetching()
	defer context.AfterFunc(revoked, stopFetching)()
	handling, stopHandling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHandling()
	finished := make(chan struct{})
	defer context.AfterFunc(fetching, func() {
		drain := time.NewTimer(s.cfg.DrainTimeout)
		defer drain.Stop()
		select {
		case <-drain.C:
			stopHandling()
		case <-finished:
		}
	})()

	var group errgroup.Group
	s.reading.Store(int32(len(g.parts)))
	for _, p := range g.parts {
		if err := p.open(handling, open); err != nil {
			stopFetching()
			group.Go(func() error { return err })
			break
		}
	}
	for _, p := range g.parts {
		if p.worker == nil {
			continue
		}
		group.Go(func() error {
			err := p.run(fetching, handling)
			if err != nil {
				stopFetching()
			}
			return err
		})
	}
	committing := make(chan struct{})
	go func() {
		defer close(committing)
		g.commitUntil(finished)
	}()
	if len(g.parts) == 0 {
		<-fetching.Done()
	}
	err := group.Wait()
	close(finished)
	<-committing
	g.commit()
	for _, p := range g.parts {
		if p.worker != nil {
			p.worker.Close()
		}
	}
	return err
}

// commitUntil commits in intervals until the workers have finished.
func (g *generation) commitUntil(finished <-chan struct{}) {
	tick := time.NewTicker(g.source.cfg.CommitInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.commit()
		case <-finished:
			return
		}
	}
}

// commit stores what was acknowledged since the last time. A failure is tried
// again with the next commit; one because the generation has ended cannot move
// the offsets of the partition's next owner.
func (g *generation) commit() {
	g.mu.Lock()
	defer g.mu.Unlock()
	offsets := make(map[string]map[int]int64)
	var dirty []*partition
	var values []int64
	for _, p := range g.parts {
		offset := p.commitable.Load()
		if offset < 0 || offset == p.stored {
			continue
		}
		if offsets[p.topic] == nil {
			offsets[p.topic] = make(map[int]int64)
		}
		offsets[p.topic][int(p.number)] = offset
		dirty, values = append(dirty, p), append(values, offset)
	}
	if len(dirty) == 0 {
		return
	}
	if err := g.gen.CommitOffsets(offsets); err != nil {
		g.source.metrics.commits.WithLabelValues("error").Inc()
		g.source.logger.Warn("committing offsets failed; they are committed again later, or read again", "generation", g.gen.ID, "error", err)
		return
	}
	g.source.metrics.commits.WithLabelValues("ok").Inc()
	for i, p := range dirty {
		p.stored = values[i]
	}
}
