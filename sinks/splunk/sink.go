package splunk

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// Settings are what the composition root gives to a Sink.
type Settings struct {
	Name    string
	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: not exported
}

// Sink writes documents to the collectors of one Splunk. It is safe for
// concurrent use and starts no goroutine that outlives a call.
type Sink struct {
	cfg     Config
	log     *slog.Logger
	client  *client
	limiter *httpx.Limiter
	encoder encoder
	indexes [4]string // of a Stream

	acks     atomic.Bool // whether to wait for acknowledgements
	rerouted sync.Map    // index -> struct{}: refused once, and said so in the log
}

// New returns a sink; it does not connect.
func New(cfg Config, set Settings) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Sink{
		cfg:     cfg,
		log:     set.Logger.With("sink", set.Name),
		limiter: httpx.NewLimiter(cfg.Concurrency, int64(cfg.InFlightBytes)),
		encoder: newEncoder(cfg.Source, cfg.Gzip),
	}
	s.acks.Store(cfg.Ack.Enabled)
	for _, stream := range event.Streams() {
		s.indexes[stream] = cfg.Index
		if index, ok := cfg.Indexes[stream.String()]; ok {
			s.indexes[stream] = index
		}
	}
	metrics, err := httpx.NewMetrics(set.Metrics, set.Name, s.limiter)
	if err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	if s.client, err = newClient(cfg, s.log, metrics); err != nil {
		return nil, err
	}
	return s, nil
}

// Close closes idle connections.
func (s *Sink) Close() error {
	s.client.close()
	return nil
}

// part is some of the documents of one Write for one index.
type part struct {
	index   string
	docs    []*event.Document
	results []*event.Result
}

func (p part) slice(from, to int) part { return part{p.index, p.docs[from:to], p.results[from:to]} }

// without returns the part without its i-th document.
func (p part) without(i int) part {
	return part{
		p.index,
		slices.Concat(p.docs[:i], p.docs[i+1:]),
		slices.Concat(p.results[:i], p.results[i+1:]),
	}
}

// end gives all documents of the part the same result.
func (p part) end(r event.Result) {
	for _, result := range p.results {
		*result = r
	}
}

// Write sends docs in requests of the configured size, several at a time, and
// reports the outcome of each document: see pipeline.Sink.
func (s *Sink) Write(ctx context.Context, docs []*event.Document, results []event.Result) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w := &write{sink: s}
	var group errgroup.Group
	group.SetLimit(s.cfg.Concurrency)
	for _, p := range s.parts(docs, results) {
		group.Go(func() error {
			w.send(ctx, p, httpx.NewSearch(len(p.docs), func(why *fault.Error) {
				s.log.Warn("the collector refuses a request without saying which event is wrong; sending it in halves",
					"events", len(p.docs), "error", why.Error())
			}))
			return nil
		})
	}
	_ = group.Wait()
	if len(w.waiting) > 0 && ctx.Err() == nil {
		w.failures.Add(s.awaitAcks(ctx, w.waiting))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return w.failures.Err()
}

// parts groups documents by index, in order, in parts of at most the
// configured size. An answer about the index is then about all of a part; the
// event's number in that answer is not needed (it was seen to be off by one).
func (s *Sink) parts(docs []*event.Document, results []event.Result) []part {
	var parts []part
	type open struct{ part, bytes int }
	opened := map[string]open{}
	for i, d := range docs {
		index := s.indexes[d.Stream]
		cost := s.encoder.cost(d, index)
		o, ok := opened[index]
		if !ok || o.bytes+cost > int(s.cfg.RequestBytes) {
			o = open{part: len(parts)}
			parts = append(parts, part{index: index})
		}
		p := &parts[o.part]
		p.docs = append(p.docs, d)
		p.results = append(p.results, &results[i])
		o.bytes += cost
		opened[index] = o
	}
	return parts
}

// write is one call of Write: its failures and what waits for
// acknowledgement. It is safe for concurrent use.
type write struct {
	sink *Sink

	failures httpx.Worst

	mu      sync.Mutex
	waiting []ackable
}

// send writes one part, cutting out what is bad and splitting what is too
// large, until the rest is accepted or nothing more can be done now.
func (w *write) send(ctx context.Context, p part, search *httpx.Search) {
	s := w.sink
	for len(p.docs) > 0 {
		v, e, err := s.request(ctx, p)
		if err != nil {
			w.failures.Add(err)
			return
		}
		switch v.action {
		case accepted, slowDown:
			w.accept(e, p, v)
			return
		case cut:
			if v.invalid >= 0 && v.invalid < len(p.docs) {
				*p.results[v.invalid] = event.Result{Outcome: event.Refused, Err: v.failure}
				p = p.without(v.invalid)
				continue
			}
			w.halves(ctx, p, v.failure, search)
			return
		case split:
			w.halves(ctx, p, v.failure, search)
			return
		case reroute:
			if s.cfg.FallbackIndex == "" || p.index == s.cfg.FallbackIndex {
				w.failures.Add(v.failure)
				return
			}
			if _, said := s.rerouted.LoadOrStore(p.index, struct{}{}); !said {
				s.log.Warn("Splunk does not take the index; writing to the fallback index", "index", p.index,
					"fallback_index", s.cfg.FallbackIndex, "error", v.failure.Error())
			}
			p.index = s.cfg.FallbackIndex
		default:
			if v.failure.Reason == fault.Unauthorized {
				s.client.refresh()
			}
			w.failures.Add(v.failure)
			return
		}
	}
}

// halves sends a part that is refused in halves; one document is refused alone.
func (w *write) halves(ctx context.Context, p part, why *fault.Error, search *httpx.Search) {
	alone, err := search.Refused(len(p.docs), why, func(from, to int) { w.send(ctx, p.slice(from, to), search) })
	if alone {
		p.end(event.Result{Outcome: event.Refused, Err: why})
	}
	if err != nil {
		w.failures.Add(err)
	}
}

// accept ends a part, or lets it wait for its acknowledgement.
func (w *write) accept(e *endpoint, p part, v verdict) {
	s := w.sink
	if !s.acks.Load() {
		p.end(event.Result{Outcome: event.Indexed})
		return
	}
	if v.ackID < 0 {
		if err := s.withoutAck(); err != nil {
			w.failures.Add(err)
			return
		}
		p.end(event.Result{Outcome: event.Indexed})
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, ackable{e, v.ackID, p})
}

// request sends a part once, to the first collector that takes it.
func (s *Sink) request(ctx context.Context, p part) (verdict, *endpoint, error) {
	size := 0
	for _, d := range p.docs {
		size += s.encoder.cost(d, p.index)
	}
	permit, err := s.limiter.Acquire(ctx, int64(size))
	if err != nil {
		return verdict{}, nil, context.Cause(ctx)
	}
	body, plain := s.encoder.body(p.docs, p.index)
	var v verdict
	var e *endpoint
	for range s.client.endpoints {
		number := s.client.first()
		e = s.client.endpoints[number]
		var a answer
		a, err = s.client.post(ctx, e, "/services/collector/event", body, s.encoder.gzip != nil, plain)
		if err == nil {
			v = judge(a.status, a.header, a.body, time.Now())
		}
		if ctx.Err() != nil || err == nil && !v.next {
			break
		}
		s.client.failOver(number)
	}
	switch {
	case err == nil && v.action == accepted:
		permit.Accepted()
	case err == nil && (v.action == slowDown || v.action == failed && v.failure.Reason == fault.Overloaded):
		permit.Overloaded()
	default:
		permit.Done()
	}
	return v, e, err
}
