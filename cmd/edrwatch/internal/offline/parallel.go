package offline

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sources/file"
)

// parallel divides the records of each topic into partitions by their keys and
// judges all at the same time, as a gateway does that reads a backlog. Ids stay
// those of the file. It holds all records in memory.
type parallel struct {
	run   *run
	lanes map[laneKey]*lane
	order []*lane

	mu      sync.Mutex // of what follows, and of the run's account
	events  []lineOut
	alerts  []raised
	raising *raising
}

type laneKey struct {
	topic  string
	number int
}

// lane is one partition.
type lane struct {
	parallel *parallel
	name     string
	shard    *pipeline.Shard
	member   *pipeline.Member
	lines    []keptLine
	batches  chan []keptLine
}

type keptLine struct {
	in   Input
	line file.Line
}

// lineOut holds the outcome of a line until its step is closed.
type lineOut struct {
	number int
	body   []byte
}

func newParallel(r *run) *parallel {
	return &parallel{run: r, lanes: map[laneKey]*lane{}, raising: newRaising(r)}
}

func (p *parallel) line(in Input, line *file.Line) error {
	if line.Record.Time == 0 {
		return fmt.Errorf("%s, line %d: the record has no broker's time: only captures can be divided into partitions", in.Name, line.Number)
	}
	key := laneKey{line.Partition.Topic, 0}
	if len(line.Record.Key) > 0 {
		key.number = partitionOf(line.Record.Key, p.run.job.Partitions)
	} else {
		key.number = int(line.Record.Offset % int64(p.run.job.Partitions))
	}
	l := p.lanes[key]
	if l == nil {
		name := fmt.Sprintf("%s[%d]", key.topic, key.number)
		l = &lane{parallel: p, name: name, batches: make(chan []keptLine, 1)}
		p.lanes[key] = l
		p.order = append(p.order, l)
	}
	l.lines = append(l.lines, keptLine{in, keepLine(line)})
	return nil
}

// keepLine copies what a line shares with its reader.
func keepLine(line *file.Line) file.Line {
	kept := *line
	r := &kept.Record
	r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	r.Headers = slices.Clone(r.Headers)
	for i := range r.Headers {
		r.Headers[i].Value = bytes.Clone(r.Headers[i].Value)
	}
	return kept
}

func (p *parallel) finish(ctx context.Context) error {
	if len(p.order) == 0 {
		return nil
	}
	slices.SortFunc(p.order, func(a, b *lane) int { return cmp.Compare(a.name, b.name) })
	p.run.job.Judge.Pace()
	pacer := pipeline.NewPacer(pipeline.PacerConfig{Step: p.run.job.Judge.Step(), MaxHold: math.MaxInt64, Close: p.close})
	defer pacer.Stop()
	latest := int64(0)
	for _, l := range p.order {
		l.shard = p.run.newShard(l.name)
		l.member = pacer.Join(l.name, func(_ context.Context, end int64) error { l.tick(end); return nil })
		for i := range l.lines {
			latest = max(latest, l.lines[i].line.Record.Time*int64(time.Millisecond))
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	done := make(chan int, len(p.order))
	for i, l := range p.order {
		group.Go(func() error {
			for batch := range l.batches {
				if err := l.handle(ctx, batch); err != nil {
					return err
				}
				done <- i
			}
			return nil
		})
	}
	group.Go(func() error { return p.feed(ctx, done) })
	if err := group.Wait(); err != nil {
		return err
	}
	for _, l := range p.order {
		l.tick(latest)
	}
	p.alerts = append(p.alerts, p.raising.flush(latest)...)
	return p.flush()
}

// feed hands records to the partitions in the order that is wanted: to one after
// the other as soon as it can take some.
func (p *parallel) feed(ctx context.Context, done <-chan int) error {
	rng := rand.New(rand.NewPCG(p.run.job.Order.seed, 1))
	var ready []int
	left := make([][]keptLine, len(p.order))
	for i, l := range p.order {
		left[i] = l.lines
		ready = append(ready, i)
	}
	next := func(i int) int64 { return left[i][0].line.Record.Time }
	for open := len(p.order); open > 0; {
		if len(ready) == 0 {
			select {
			case i := <-done:
				if len(left[i]) == 0 {
					close(p.order[i].batches)
					p.order[i].member.CaughtUp(math.MaxInt64)
					open--
					continue
				}
				ready = append(ready, i)
			case <-ctx.Done():
				for i, l := range p.order {
					if len(left[i]) > 0 || !slices.Contains(ready, i) {
						l.member.GiveUp()
					}
				}
				return ctx.Err()
			}
			continue
		}
		i, n := p.run.job.Order.choose(rng, ready, next)
		n = min(n, len(left[i]))
		p.order[i].batches <- left[i][:n]
		left[i] = left[i][n:]
		ready = slices.DeleteFunc(ready, func(r int) bool { return r == i })
	}
	return nil
}

func (l *lane) handle(ctx context.Context, batch []keptLine) error {
	if err := l.member.Enter(ctx); err != nil {
		return err
	}
	defer l.member.Exit()
	for i := range batch {
		kept := &batch[i]
		if _, err := l.member.Pass(ctx, kept.line.Record.Time*int64(time.Millisecond), l.tick); err != nil {
			return err
		}
		l.shard.Reset()
		outcome := l.shard.Process(&kept.line.Partition, &kept.line.Record, false)
		if err := l.parallel.keep(l.shard, outcome, kept); err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) tick(end int64) {
	l.shard.Reset()
	l.shard.Tick(end, false)
	l.parallel.mu.Lock()
	defer l.parallel.mu.Unlock()
	l.parallel.alerts = appendRaised(l.parallel.alerts, l.shard)
}

// keep keeps what a line became until its step is closed.
func (p *parallel) keep(s *pipeline.Shard, outcome pipeline.RecordOutcome, kept *keptLine) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run.count(outcome)
	p.alerts = appendRaised(p.alerts, s)
	for _, doc := range s.Documents() {
		if doc.Stream != event.Alerts {
			p.events = append(p.events, lineOut{kept.line.Number, slices.Clone(doc.Body)})
		}
	}
	return p.run.buryAll(s, kept.in, kept.line.Number)
}

// close is called by the pacer when all partitions have ended a step.
func (p *parallel) close(_ context.Context, c pipeline.Closing) error {
	p.mu.Lock()
	p.alerts = append(p.alerts, p.raising.close(c.End)...)
	p.mu.Unlock()
	return p.flush()
}

// flush writes the outcomes of a step, events in the order of their lines.
func (p *parallel) flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortStableFunc(p.events, func(a, b lineOut) int { return cmp.Compare(a.number, b.number) })
	for _, e := range p.events {
		if err := writeLine(p.run.events, e.body); err != nil {
			return err
		}
	}
	err := writeRaised(p.run, p.alerts)
	p.events, p.alerts = p.events[:0], p.alerts[:0]
	return err
}
