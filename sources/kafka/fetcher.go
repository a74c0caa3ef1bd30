package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// frame is what the fetcher hands to the worker's side of a partition: the
// records of one answer, or a jump to another offset.
type frame struct {
	fetched
	buffer []byte
	held   int64 // of the budget
	cut    bool  // the answer was larger than the budget; its records end early
	jump   *jump
}

// jump says that offsets are gone: reading goes on at to.
type jump struct{ from, to int64 }

// fetcher reads one partition ahead of its worker, by one answer.
type fetcher struct {
	p      *partition
	wire   *wire
	next   int64
	failed time.Time // when the leader was last found wrong
}

// run sends frames until ctx ends or an error that only an operator can cure.
func (f *fetcher) run(ctx context.Context, frames chan<- *frame) error {
	defer func() {
		if f.wire != nil {
			f.wire.close()
		}
	}()
	wait := newBackoff()
	for ctx.Err() == nil {
		fr, err := f.fetch(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.As(err, new(*stopError)) {
				return err
			}
			f.lost()
			f.p.source.health.set(f.p.name(), f.p.source.cfg.explain(fmt.Errorf("fetching %s: %w", f.p.name(), err)))
			wait.sleep(ctx)
			continue
		}
		wait.reset()
		f.p.source.health.set(f.p.name(), nil)
		if fr == nil {
			continue
		}
		select {
		case frames <- fr:
		case <-ctx.Done():
			f.p.release(fr)
		}
	}
	return nil
}

// lost drops the connection; the leader is looked up again.
func (f *fetcher) lost() {
	if f.wire != nil {
		f.wire.close()
		f.wire = nil
	}
	f.failed = time.Now()
}

// fetch returns the next answer that holds records or a jump, nil for none.
func (f *fetcher) fetch(ctx context.Context) (*frame, error) {
	p, s := f.p, f.p.source
	if f.wire == nil {
		w, err := s.cluster.dialLeader(ctx, p.topic, p.number, f.failed)
		if err != nil {
			return nil, err
		}
		f.wire = w
	}
	asked, wait := f.ask()
	fr, err := s.fetch(ctx, f.wire, fetchOf{p.topic, p.number, f.next, p.answerBytes(), wait}, p.waitedFor)
	if err != nil {
		return nil, err
	}
	p.fetchedBytes.Add(float64(len(fr.buffer)))
	if code := kafkago.Error(fr.code); code != 0 {
		p.release(fr)
		if code == kafkago.OffsetOutOfRange {
			return f.outOfRange(ctx)
		}
		return nil, code
	}
	end := fr.highWater
	if s.cfg.isolation() == 1 {
		end = fr.lastStable
	}
	p.end.Store(end)
	if fr.cut {
		f.lost() // the rest of the answer is still in the connection
		f.failed = time.Time{}
	}
	next, latest := f.next, int64(0)
	for records := fr.records; len(records) > 0; {
		h, _, rest, complete := nextBatch(records)
		if !complete && !(fr.cut && next == f.next && len(records) >= batchHeader) {
			break
		}
		next, latest = max(next, h.last+1), max(latest, h.maxTS)
		records = rest
	}
	if next == f.next {
		p.release(fr)
		if p.paced != nil && end <= f.next && p.acked.Load() >= f.next {
			p.paced.CaughtUp(asked)
		}
		return nil, nil
	}
	if p.paced != nil && latest > 0 {
		p.paced.Ahead(latest * int64(time.Millisecond))
	}
	f.next = next
	return fr, nil
}

// waitWhileWaited is how long a broker may hold an answer back while other
// partitions wait to know whether anything is left of this one.
const waitWhileWaited = 10 * time.Millisecond

// ask returns how far other partitions are, before the broker is asked, and how
// long that may hold its answer back.
func (f *fetcher) ask() (asked int64, wait time.Duration) {
	wait = f.p.source.cfg.FetchMaxWait
	if f.p.paced == nil {
		return 0, wait
	}
	if f.p.paced.Waited() {
		wait = min(wait, waitWhileWaited)
	}
	return f.p.paced.Asked(), wait
}

// leastAnswer is what a fetch asks for at least.
const leastAnswer = 64 << 10

// answerBytes is how much of the partition a fetch asks for: where records wait
// for those of other partitions all hold two answers at a time, which have to
// fit.
func (p *partition) answerBytes() int32 {
	most := int64(p.source.cfg.FetchMaxBytes)
	if n := int64(p.source.reading.Load()); p.paced != nil && n > 0 {
		most = min(most, max(p.source.budget.fetched.size/(2*n), leastAnswer))
	}
	return int32(most)
}

// stopError marks an error that ends the source.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }
func (e *stopError) Unwrap() error { return e.err }

// outOfRange finds where to go on when the offset to be read is not there.
func (f *fetcher) outOfRange(ctx context.Context) (*frame, error) {
	p, s := f.p, f.p.source
	first, err := f.wire.listOffset(ctx, p.topic, p.number, kafkago.FirstOffset, 0)
	if err != nil {
		return nil, err
	}
	last, err := f.wire.listOffset(ctx, p.topic, p.number, kafkago.LastOffset, 0)
	if err != nil {
		return nil, err
	}
	if first <= f.next && f.next <= last {
		return nil, nil // it is there now
	}
	to := first
	switch s.cfg.OutOfRange {
	case "latest":
		to = last
	case "fail":
		return nil, &stopError{fault.New(fault.Operator, fault.Misconfigured,
			"topic %s partition %d has offsets %d to %d, but %d is next", p.topic, p.number, first, last-1, f.next).
			WithHint("reset the group's offset, or set out_of_range to earliest or latest")}
	}
	j := &jump{from: f.next, to: to}
	f.next = to
	if to > j.from {
		p.gaps.Add(float64(to - j.from))
		s.logger.Error("records are gone before they were read", "topic", p.topic, "partition", p.number,
			"first_missing", j.from, "last_missing", to-1, "records", to-j.from)
	} else {
		s.logger.Error("the log is shorter than before: it was truncated, or the topic was made again; raise epoch in that case",
			"topic", p.topic, "partition", p.number, "expected", j.from, "found_last", last-1, "going_on_at", to)
	}
	return &frame{jump: j}, nil
}

// fetch asks for records from offset on and reads the answer when the budget
// has room for it.
func (s *Source) fetch(ctx context.Context, w *wire, of fetchOf, must func() <-chan struct{}) (*frame, error) {
	defer context.AfterFunc(ctx, w.close)()
	if err := w.send(fetchVersion, fetchRequest(of, &s.cfg), of.wait); err != nil {
		return nil, err
	}
	if err := w.looksLikeTLS(); err != nil {
		return nil, err
	}
	size, err := w.readSize()
	if err != nil {
		return nil, err
	}
	limit := s.budget.fetched.size
	fr := &frame{held: bufferSize(int64(size), limit), cut: int64(size) > limit}
	capacity := fr.held
	if fr.held, err = s.budget.fetched.acquire(ctx, capacity, must()); err != nil {
		return nil, err
	}
	fr.buffer = s.budget.buffer(capacity)[:min(int64(size), limit)]
	err = w.conn.SetReadDeadline(time.Now().Add(answerTime))
	if err == nil {
		_, err = io.ReadFull(w.r, fr.buffer)
	}
	if err == nil {
		fr.fetched, err = parseFetch(fr.buffer, w.correlation, fr.cut)
	}
	if err != nil {
		s.budget.recycle(fr.buffer)
		s.budget.fetched.release(fr.held)
		return nil, err
	}
	return fr, nil
}
