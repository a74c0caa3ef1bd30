package elasticsearch

import (
	"context"
	"fmt"
	"log/slog"
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
	encoder encoder // of the history
	latest  encoder // of the newest state of agents and alerts
	kept    encoder // of the question what is kept of an alert
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
		latest:  newLatestEncoder(cfg.Namespace, cfg.Gzip),
		kept:    newKeptEncoder(cfg.Namespace, cfg.Gzip),
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
	as      *encoder // how they are written
	docs    []*event.Document
	results []event.Result
}

func (p part) slice(from, to int) part { return part{p.as, p.docs[from:to], p.results[from:to]} }

// Write sends docs in requests of the configured size, several at a time, and
// reports the outcome of each document: see pipeline.Sink.
func (s *Sink) Write(ctx context.Context, docs []*event.Document, results []event.Result) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	var failures httpx.Worst
	s.sendAll(ctx, part{&s.encoder, docs, results}, &failures)
	if ctx.Err() == nil {
		s.writeLatest(ctx, docs, results, &failures)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return failures.Err()
}

// sendAll sends documents in requests of the configured size.
func (s *Sink) sendAll(ctx context.Context, whole part, failures *httpx.Worst) {
	var group errgroup.Group
	group.SetLimit(s.cfg.Concurrency)
	for from := 0; from < len(whole.docs); {
		to := whole.as.fill(whole.docs, from, int(s.cfg.RequestBytes), s.cfg.RequestDocuments)
		chunk := whole.slice(from, to)
		from = to
		group.Go(func() error {
			failures.Add(s.send(ctx, chunk, httpx.NewSearch(len(chunk.docs), func(why *fault.Error) {
				s.log.Warn("a bulk request is refused; sending it in halves", "documents", len(chunk.docs), "error", why.Error())
			})))
			return nil
		})
	}
	_ = group.Wait()
}

// send writes one part in one request, or in several when the server asks for
// smaller ones.
func (s *Sink) send(ctx context.Context, p part, search *httpx.Search) error {
	permit, err := s.limiter.Acquire(ctx, p.as.size(p.docs))
	if err != nil {
		return context.Cause(ctx)
	}
	a, err := s.client.do(ctx, p.as.request(p.docs))
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
	return s.refused(ctx, p, a, search)
}

// accept reads the outcome of each document; the error is about those that
// stay pending.
func (s *Sink) accept(p part, a answer) error {
	outcomes, err := decodeBulk(a.body, p.as.verb, len(p.docs))
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
func (s *Sink) refused(ctx context.Context, p part, a answer, search *httpx.Search) error {
	f := classifyWhole(a, time.Now())
	if f.Class != fault.Permanent {
		if f.Reason == fault.Unauthorized {
			s.client.refresh()
		}
		return f
	}
	// The request as a whole is refused for what one document holds, or by
	// something in between. Halving finds out which.
	var failures httpx.Worst
	alone, err := search.Refused(len(p.docs), f, func(from, to int) { failures.Add(s.send(ctx, p.slice(from, to), search)) })
	if alone {
		p.results[0] = event.Result{Outcome: event.Refused, Err: f}
	}
	failures.Add(err)
	return failures.Err()
}
