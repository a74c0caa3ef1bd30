package kafka

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/sources/internal/streamid"
)

// maxInterned bounds the header names that a partition keeps so as not to
// allocate them again.
const maxInterned = 256

// partition is one owned partition during one generation.
type partition struct {
	source *Source
	topic  string
	number int32
	ident  event.Partition
	worker event.Worker
	paced  event.Paced // the worker, where its records wait for those of others; else nil
	commit func()      // commits what all partitions acknowledged

	position  int64 // the next offset to deliver
	committed int64 // Batch.Committed: what is below is read only to rebuild state
	resume    int64 // where the worker's kept state goes on
	resumed   bool

	acked      atomic.Int64 // position after the last acknowledged batch
	ackedTime  atomic.Int64 // time of its last record, milliseconds since 1970
	end        atomic.Int64 // of the log, as far as may be read
	commitable atomic.Int64 // what may be committed, -1 for nothing yet
	stored     int64        // what was committed last; the committer's

	batch   event.Batch
	size    int64 // bytes of the batch's records
	headers []event.Header
	buffers []heldBuffer // with decompressed payloads that the batch points into
	ratio   int64        // of the latest payload to its compressed size, rounded up
	names   map[string]string
	table   *crc32.Table

	fetchedBytes, gaps, undecodable, aborted prometheus.Counter
}

func newPartition(s *Source, topic string, number int32, committed int64, commit func()) *partition {
	p := &partition{
		source: s, topic: topic, number: number, committed: committed, stored: committed, commit: commit,
		ident:        event.Partition{Prefix: streamid.Topic(s.clusterID, topic, s.cfg.Epoch), Topic: topic, Number: number},
		names:        make(map[string]string),
		table:        crc32.MakeTable(crc32.Castagnoli),
		fetchedBytes: s.metrics.fetchedBytes.WithLabelValues(topic),
		gaps:         s.metrics.gaps.WithLabelValues(topic),
		undecodable:  s.metrics.undecodable.WithLabelValues(topic),
		aborted:      s.metrics.aborted.WithLabelValues(topic),
	}
	p.batch.Partition = p.ident
	p.commitable.Store(-1)
	return p
}

func (p *partition) name() string { return fmt.Sprintf("topic %s partition %d", p.topic, p.number) }

// heldBuffer is a buffer with what it takes of the budget.
type heldBuffer struct {
	bytes []byte
	held  int64
}

// open makes the partition's worker. Those of all partitions are opened before
// one is read, because the others wait for it.
func (p *partition) open(ctx context.Context, open func(context.Context, event.Partition) (event.Worker, error)) error {
	worker, err := open(ctx, p.ident)
	if err != nil {
		return fmt.Errorf("opening a worker for %s: %w", p.name(), err)
	}
	p.worker = worker
	p.paced, _ = worker.(event.Paced)
	return nil
}

// run delivers records until fetching ends. The context of Handle lives longer
// than that of fetching, so that a worker may finish its batch.
func (p *partition) run(fetching, handling context.Context) error {
	defer p.source.health.clear(p.name())
	if p.paced != nil {
		defer context.AfterFunc(fetching, p.paced.GiveUp)()
	}
	if r, ok := p.worker.(event.Resumer); ok && p.committed > 0 {
		p.resume, p.resumed = r.Resume(fetching, p.committed)
	}
	if !p.begin(fetching) {
		return nil
	}
	p.source.metrics.own(p)
	defer p.source.metrics.disown(p)

	ctx, stop := context.WithCancel(fetching)
	defer stop()
	frames := make(chan *frame)
	var err, fetchErr error
	go func() {
		defer close(frames)
		f := &fetcher{p: p, next: p.position}
		fetchErr = f.run(ctx, frames)
	}()
	for fr := range frames {
		if err != nil || fetching.Err() != nil {
			p.release(fr)
			continue
		}
		if err = p.handle(fetching, handling, fr); err != nil {
			stop()
		}
	}
	p.drop()
	if fetching.Err() != nil {
		return nil
	}
	return errors.Join(err, fetchErr)
}

// release gives the memory of an answer back.
func (p *partition) release(fr *frame) {
	p.source.budget.recycle(fr.buffer)
	p.source.budget.fetched.release(fr.held)
	fr.buffer, fr.held = nil, 0
}

// handle delivers the records of one answer.
func (p *partition) handle(fetching, handling context.Context, fr *frame) error {
	defer p.release(fr)
	if fr.jump != nil {
		p.position, p.committed = fr.jump.to, fr.jump.to
		p.acked.Store(p.position)
		p.commitable.Store(p.position)
		return nil
	}
	start := p.position
	aborts := abortedProducers{pending: fr.aborted}
	for records := fr.records; len(records) > 0 && fetching.Err() == nil; {
		h, raw, rest, complete := nextBatch(records)
		records = rest
		if !complete && !(fr.cut && p.position == start && len(raw) >= batchHeader) {
			break // the answer ends within a batch, which is fetched again
		}
		if h.last < p.position {
			continue
		}
		if err := p.recordBatch(fetching, handling, &h, raw, complete, &aborts); err != nil {
			return err
		}
	}
	if fetching.Err() != nil {
		return nil
	}
	return p.flush(handling)
}

// recordBatch delivers the records of one record batch, or a fault in their
// place.
func (p *partition) recordBatch(fetching, handling context.Context, h *batchInfo, raw []byte, complete bool, aborts *abortedProducers) error {
	next := h.last + 1
	var bad error
	if !complete {
		bad = fault.New(fault.Permanent, fault.TooLarge, "expected a record batch of at most %d bytes, found a larger one",
			p.source.budget.fetched.size).WithHint("raise max_in_flight_bytes")
	} else if err := h.check(raw, p.table); err != nil {
		bad = fault.New(fault.Permanent, fault.Undecodable, "%w", err)
	}
	if bad == nil {
		if skip := aborts.skip(h, raw); skip {
			if !h.control() {
				p.aborted.Inc()
			}
			p.position = next
			return nil
		}
		payload, err := p.payload(handling, h, raw)
		if err == nil {
			bad, err = p.records(fetching, handling, h, payload)
		} else if handling.Err() == nil && !errors.As(err, new(*handleError)) {
			bad, err = fault.New(fault.Permanent, fault.Undecodable, "%w", err), nil
		}
		if err != nil {
			return err
		}
		if fetching.Err() != nil {
			return nil
		}
	}
	if bad != nil {
		p.undecodable.Inc()
		f := fault.Of(bad)
		first := max(h.base, p.position)
		at := h.maxTS
		p.add(event.Record{Offset: first, Time: max(at, 0), Value: raw, Fault: &fault.Error{
			Class: f.Class, Reason: f.Reason, Hint: f.Hint,
			Err: fmt.Errorf("decoding %s, offsets %d to %d: %w", p.name(), first, max(h.last, first), f.Err),
		}})
	}
	p.position = max(next, p.position)
	return nil
}

// handleError marks what a worker returned.
type handleError struct{ err error }

func (e *handleError) Error() string { return e.err.Error() }
func (e *handleError) Unwrap() error { return e.err }

// records adds the records of a payload to the batch and hands it over
// whenever it is full. Bad says why records of it cannot be read.
func (p *partition) records(fetching, handling context.Context, h *batchInfo, payload []byte) (bad, err error) {
	r := recordReader{h: h, c: cursor{b: payload}, left: h.count, next: h.base, headers: p.headers, intern: p.intern}
	for {
		rec, ok, bad := r.read()
		p.headers = r.headers
		if bad != nil || !ok {
			return bad, nil
		}
		if rec.Offset < p.position {
			continue
		}
		p.add(rec)
		p.position = rec.Offset + 1
		if len(p.batch.Records) >= p.source.cfg.BatchRecords || p.size >= int64(p.source.cfg.BatchBytes) {
			if err := p.flushWithin(handling, h); err != nil || fetching.Err() != nil {
				return nil, err
			}
			r.headers = p.headers
		}
	}
}

// flushWithin flushes in the middle of a payload, whose buffer is kept because
// the rest of its records is still to come.
func (p *partition) flushWithin(ctx context.Context, h *batchInfo) error {
	if h.codec() == codecNone {
		return p.flush(ctx)
	}
	last := len(p.buffers) - 1
	buffer := p.buffers[last]
	p.buffers = p.buffers[:last]
	err := p.flush(ctx)
	p.buffers = append(p.buffers, buffer)
	return err
}

func (p *partition) add(r event.Record) {
	p.batch.Records = append(p.batch.Records, r)
	p.size += int64(len(r.Key) + len(r.Value))
	for i := range r.Headers {
		p.size += int64(len(r.Headers[i].Key) + len(r.Headers[i].Value))
	}
}

// payload returns the records of a batch uncompressed.
func (p *partition) payload(ctx context.Context, h *batchInfo, raw []byte) ([]byte, error) {
	body := raw[batchHeader:]
	if h.codec() == codecNone {
		return body, nil
	}
	b, limit := p.source.budget, int64(p.source.cfg.MaxBatchBytes)
	// Room is taken for as much as earlier batches came to, and for more only
	// when that is not enough.
	for size := bufferSize(max(p.ratio*int64(len(body)), 64<<10), limit); ; size = min(4*size, limit) {
		held := size
		if !b.decompressed.tryAcquire(size) {
			if err := p.flush(ctx); err != nil {
				return nil, &handleError{err}
			}
			var err error
			if held, err = b.decompressed.acquire(ctx, size, p.waitedFor()); err != nil {
				return nil, &handleError{err}
			}
		}
		buffer := b.buffer(size)
		out, err := p.source.codecs.decompress(h.codec(), buffer, body, int(size))
		if err == nil {
			p.ratio = int64(len(out)/max(len(body), 1)) + 1
			p.buffers = append(p.buffers, heldBuffer{buffer, held})
			return out, nil
		}
		b.recycle(buffer)
		b.decompressed.release(held)
		if !errors.Is(err, errTooLarge) {
			return nil, fmt.Errorf("expected %d bytes of records compressed with %s: %w", len(body), codecName(h.codec()), err)
		}
		if size == limit {
			return nil, fmt.Errorf("expected records of at most %v, found %d bytes that decompress (%s) to more: raise max_batch_bytes if they are genuine",
				p.source.cfg.MaxBatchBytes, len(body), codecName(h.codec()))
		}
	}
}

// flush hands the batch to the worker and acknowledges it.
func (p *partition) flush(ctx context.Context) error {
	if n := len(p.batch.Records); n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.batch.Committed = p.committed
		if err := p.worker.Handle(ctx, &p.batch); err != nil {
			return err
		}
		p.ackedTime.Store(p.batch.Records[n-1].Time)
	}
	p.drop()
	p.acked.Store(p.position)
	if p.position > p.committed {
		p.commitable.Store(p.position)
	}
	return nil
}

// drop empties the batch and gives its memory back.
func (p *partition) drop() {
	clear(p.batch.Records)
	clear(p.headers)
	p.batch.Records, p.headers, p.size = p.batch.Records[:0], p.headers[:0], 0
	for _, buffer := range p.buffers {
		p.source.budget.recycle(buffer.bytes)
		p.source.budget.decompressed.release(buffer.held)
	}
	clear(p.buffers)
	p.buffers = p.buffers[:0]
}

// waitedFor is closed while other partitions wait for this one; nil where they
// never do.
func (p *partition) waitedFor() <-chan struct{} {
	if p.paced == nil {
		return nil
	}
	return p.paced.Holding()
}

// intern returns a header's name without allocating it for every record.
func (p *partition) intern(name []byte) string {
	if known, ok := p.names[string(name)]; ok {
		return known
	}
	if len(p.names) >= maxInterned {
		clear(p.names)
	}
	s := string(name)
	p.names[s] = s
	return s
}

// abortedProducers tells which batches belong to aborted transactions, the way
// that Kafka's own consumer does: a transaction begins at its first offset and
// ends with the producer's marker.
type abortedProducers struct {
	pending []abortedTransaction
	active  map[int64]bool
}

// skip reports whether a batch holds nothing to deliver: it is a control batch
// or belongs to an aborted transaction.
func (a *abortedProducers) skip(h *batchInfo, raw []byte) bool {
	rest := a.pending[:0]
	for _, t := range a.pending {
		if t.first > h.last {
			rest = append(rest, t)
			continue
		}
		if a.active == nil {
			a.active = make(map[int64]bool)
		}
		a.active[t.producer] = true
	}
	a.pending = rest
	if h.control() {
		if h.abortMarker(raw[batchHeader:]) {
			delete(a.active, h.producer)
		}
		return true
	}
	return h.transactional() && a.active[h.producer]
}
