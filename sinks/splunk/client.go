package splunk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// maxAnswer bounds the bytes that are read of an answer.
const maxAnswer = 4 << 20

// endpoint is one collector. Acknowledgements belong to a channel on the
// collector that took the request, so each has a channel of its own, and a
// load balancer's cookies are kept.
type endpoint struct {
	url     *url.URL
	channel string
	client  *http.Client
}

// client sends requests to the collectors with the token as it is now.
type client struct {
	cfg       Config
	log       *slog.Logger
	metrics   *httpx.Metrics
	transport *http.Transport
	endpoints []*endpoint
	current   atomic.Uint32 // the endpoint to ask first
}

func newClient(cfg Config, log *slog.Logger, metrics *httpx.Metrics) (*client, error) {
	urls, err := httpx.ParseURLs(cfg.URLs)
	if err != nil {
		return nil, err
	}
	transport, err := httpx.NewTransport(cfg.TLS, log, cfg.Concurrency)
	if err != nil {
		return nil, err
	}
	c := &client{cfg: cfg, log: log, metrics: metrics, transport: transport}
	for _, u := range urls {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return nil, fmt.Errorf("preparing cookies: %w", err)
		}
		c.endpoints = append(c.endpoints, &endpoint{url: u, channel: uuid.NewString(), client: &http.Client{
			Transport: transport,
			Jar:       jar,
			// A redirect would carry events to another server; it is reported instead.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}})
	}
	return c, nil
}

// first returns the endpoint to ask first and its number.
func (c *client) first() uint32 { return c.current.Load() % uint32(len(c.endpoints)) }

// failOver makes the endpoint after number the first, unless that was done
// already.
func (c *client) failOver(number uint32) {
	if len(c.endpoints) > 1 && c.current.CompareAndSwap(number, (number+1)%uint32(len(c.endpoints))) {
		next := c.endpoints[(number+1)%uint32(len(c.endpoints))]
		c.log.Warn("collector does not take events; asking the next one", "next", next.url.Host)
	}
}

// answer is what came back, read in full.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// post sends a body to one collector. An error is classified (the outcome is
// unknown), or ctx's. The body may be read until the connection is done with
// it, even after post has returned: do not reuse it.
func (c *client) post(parent context.Context, e *endpoint, path string, body []byte, gzipped bool, plain int) (answer, error) {
	return c.request(parent, e, http.MethodPost, path, body, gzipped, plain)
}

// get asks one collector for something, as post does.
func (c *client) get(parent context.Context, e *endpoint, path string) (answer, error) {
	return c.request(parent, e, http.MethodGet, path, nil, false, 0)
}

func (c *client) request(parent context.Context, e *endpoint, method, path string, body []byte, gzipped bool, plain int) (answer, error) {
	ctx, cancel := context.WithTimeout(parent, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, e.url.String()+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, fault.New(fault.Permanent, fault.Internal, "making a request: %w", err)
	}
	req.Header.Set("Authorization", "Splunk "+c.cfg.Token.Reveal())
	req.Header.Set("Content-Type", "application/json")
	if gzipped {
		req.Header.Set("Content-Encoding", "gzip")
	}
	if c.cfg.Ack.Enabled {
		req.Header.Set("X-Splunk-Request-Channel", e.channel)
	}
	started := time.Now()
	a, err := c.roundTrip(parent, e, req)
	c.metrics.Request(a.status, time.Since(started), plain, len(body))
	return a, err
}

func (c *client) roundTrip(parent context.Context, e *endpoint, req *http.Request) (answer, error) {
	res, err := e.client.Do(req)
	if err != nil {
		return answer{}, c.unanswered(parent, err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1)); err != nil {
		return a, c.unanswered(parent, fmt.Errorf("reading the answer: %w", err))
	}
	if len(a.body) > maxAnswer {
		return a, fault.New(fault.Transient, fault.Garbled, "reading the answer: more than %d bytes", maxAnswer)
	}
	return a, nil
}

func (c *client) unanswered(parent context.Context, err error) error {
	switch {
	case parent.Err() != nil:
		return context.Cause(parent)
	case errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.Transient, fault.Unavailable, "asking the collector: no answer within %v", c.cfg.Timeout)
	}
	return fault.New(fault.Transient, fault.Unavailable, "asking the collector: %w", err)
}

// refresh reads the token from its file again.
func (c *client) refresh() {
	changed, err := c.cfg.Token.Refresh()
	if err != nil {
		c.log.Warn("the token was refused and cannot be read again", "error", err)
	}
	if changed {
		c.log.Info("the token was refused; a new one was read from its file")
	}
}

func (c *client) close() { c.transport.CloseIdleConnections() }
