package elasticsearch

import (
	"context"
	"fmt"
	"log/slog"
	"math/bits"
	"net/http"
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

// Sink writes documents to one cluster. It is safe for concurrent use and
// starts no goroutine that outlives a call.
type Sink struct {
	cfg     Config
	log     *slog.Logger
	client  *client
	limiter *httpx.Limiter
	encoder encoder
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
		encoder: newEncoder(cfg.Namespace, cfg.Gzip),
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
func (s *Sink) Close() error { return s.client.close() }

// part is a run of documents of one Write with their results.
type part struct {
	docs    []*event.Document
	results []event.Result
}

func (p part) slice(from, to int) part { return part{p.docs[from:to], p.results[from:to]} }

// Write sends docs in requests of the configured size, several at a time, and
// reports the outcome of each document: see pipeline.Sink.
func (s *Sink) Write(ctx context.Context, docs []*event.Document, results []event.Result) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	var failures httpx.Worst
	var group errgroup.Group
	group.SetLimit(s.cfg.Concurrency)
	whole := part{docs, results}
	for from := 0; from < len(docs); {
		to := s.encoder.fill(docs, from, int(s.cfg.RequestBytes), s.cfg.RequestDocuments)
		chunk := whole.slice(from, to)
		from = to
		group.Go(func() error {
			// Of a request that may be refused as a whole, so many refusals
			// are enough to find one bad document in one go.
			failures.Add(s.send(ctx, chunk, &budget{left: int32(4 * bits.Len(uint(len(chunk.docs))))}))
			return nil
		})
	}
	_ = group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return failures.Err()
}

// budget bounds how often the halves of one request may be refused with 400.
// What is undecided when it is used up stays pending: the next attempt, with a
// budget of its own, starts without the documents that were found.
type budget struct {
	left int32
	said bool // the log knows that the request is being halved
}

// send writes one part in one request, or in several when the server asks for
// smaller ones.
func (s *Sink) send(ctx context.Context, p part, b *budget) error {
	permit, err := s.limiter.Acquire(ctx, s.encoder.size(p.docs))
	if err != nil {
		return context.Cause(ctx)
	}
	a, err := s.client.do(ctx, s.encoder.request(p.docs))
	switch {
	case err != nil:
		permit.Done()
		return err
	case a.status >= 200 && a.status < 300:
		err := s.accept(p, a)
		if err != nil && fault.Of(err).Reason == fault.Overloaded {
			permit.Overloaded()
		} else {
			permit.Accepted()
		}
		return err
	case a.status == http.StatusTooManyRequests:
		permit.Overloaded()
	default:
		permit.Done()
	}
	return s.refused(ctx, p, a, b)
}

// accept reads the outcome of each document; the error is about those that
// stay pending.
func (s *Sink) accept(p part, a answer) error {
	outcomes, err := decodeBulk(a.body, len(p.docs))
	if err != nil {
		return fault.New(fault.Transient, fault.Garbled, "reading the answer to a bulk request: %w: %s", err, httpx.Excerpt(a.body))
	}
	copy(p.results, outcomes)
	var failures httpx.Worst
	pending, refresh := 0, false
	for _, r := range outcomes {
		if r.Outcome == event.Pending {
			pending++
			failures.Add(r.Err)
			refresh = refresh || fault.Of(r.Err).Reason == fault.Unauthorized
		}
	}
	if refresh {
		s.client.refresh()
	}
	f := fault.Of(failures.Err())
	if f == nil {
		return nil
	}
	wait := max(f.RetryAfter, httpx.RetryAfter(a.header, time.Now()))
	return &fault.Error{
		Class: f.Class, Reason: f.Reason, Hint: f.Hint, RetryAfter: wait,
		Err: fmt.Errorf("%d of %d documents are not written: %w", pending, len(p.docs), f.Err),
	}
}

// refused handles an answer that is about the whole request.
func (s *Sink) refused(ctx context.Context, p part, a answer, b *budget) error {
	f := classifyWhole(a, time.Now())
	switch {
	case f.Reason == fault.TooLarge && len(p.docs) > 1:
		return s.halves(ctx, p, b)
	case f.Class == fault.Permanent && f.Reason != fault.TooLarge && len(p.docs) > 1:
		// The request as a whole is refused for what one document holds, or by
		// something in between. Halving finds out which.
		if b.left == 0 {
			return fault.New(fault.Transient, f.Reason, "looking for documents that the server refuses: %w", f)
		}
		b.left--
		if !b.said {
			b.said = true
			s.log.Warn("a bulk request is refused; sending it in halves", "documents", len(p.docs), "error", f.Err.Error())
		}
		return s.halves(ctx, p, b)
	case f.Class == fault.Permanent:
		for i := range p.results {
			p.results[i] = event.Result{Outcome: event.Refused, Err: f}
		}
		return nil
	case f.Reason == fault.Unauthorized:
		s.client.refresh()
	}
	return f
}

func (s *Sink) halves(ctx context.Context, p part, b *budget) error {
	middle := len(p.docs) / 2
	var failures httpx.Worst
	failures.Add(s.send(ctx, p.slice(0, middle), b))
	failures.Add(s.send(ctx, p.slice(middle, len(p.docs)), b))
	return failures.Err()
}
