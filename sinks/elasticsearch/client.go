package elasticsearch

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/elastic/go-elasticsearch/v8/esapi"

	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// maxAnswer bounds the bytes that are read of an answer.
const maxAnswer = 64 << 20

// client sends requests to the cluster with the credentials as they are now. It
// stands on Elastic's transport and esapi alone: the root package of
// go-elasticsearch would bring the typed API along, three times the time to build
// and 8 MB of binary.
type client struct {
	cfg       Config
	base      *elastictransport.Client
	transport *http.Transport
	metrics   *httpx.Metrics
	log       *slog.Logger
	genuine   atomic.Bool // a server has said that it is Elasticsearch
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
	c := &client{cfg: cfg, transport: transport, metrics: metrics, log: log}
	// A node that fails is left out and the next one is asked at once; waiting and
	// trying again is the pipeline's business. (One attempt more than nodes: leaving
	// one out can make the turn skip another.)
	retry := elastictransport.WithMaxRetries(len(urls))
	if len(urls) == 1 {
		retry = elastictransport.WithDisableRetry()
	}
	c.base, err = elastictransport.NewClient(elastictransport.WithUserAgent("edrwatch"), elastictransport.WithURLs(urls...),
		elastictransport.WithTransport(authorized{c}), retry)
	if err != nil {
		return nil, fmt.Errorf("preparing the Elasticsearch client: %w", err)
	}
	return c, nil
}

// authorized adds the credentials to each request.
type authorized struct{ c *client }

func (a authorized) RoundTrip(req *http.Request) (*http.Response, error) {
	cfg := &a.c.cfg
	header := ""
	switch {
	case !cfg.APIKey.IsZero():
		header = "ApiKey " + cfg.APIKey.Reveal()
	case cfg.Username != "":
		header = "Basic " + base64.StdEncoding.EncodeToString([]byte(cfg.Username+":"+cfg.Password.Reveal()))
	}
	if header != "" {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", header)
	}
	return a.c.transport.RoundTrip(req)
}

// refresh reads secrets from their files again.
func (c *client) refresh() {
	for _, s := range []interface{ Refresh() (bool, error) }{c.cfg.APIKey, c.cfg.Password} {
		changed, err := s.Refresh()
		if err != nil {
			c.log.Warn("credentials were refused and cannot be read again", "error", err)
		}
		if changed {
			c.log.Info("credentials were refused; new ones were read from their file")
		}
	}
}

// request is one request to the cluster.
type request struct {
	method, path string // path with query; unless bulk
	body         []byte // nil for none
	contentType  string
	gzipped      bool
	plainSize    int          // of the body before compression
	bulk         *bulkOptions // nil: not a bulk request
}

// bulkOptions are what bulk requests of one kind ask for: targets that exist, no
// document text in error messages (they are logged), and just the parts of the
// answer that are read.
type bulkOptions struct {
	dataStream, alias bool // the kind of target that is required
	filter            []string
}

// answer is what came back, read in full.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request and reads the answer; an error is classified, or ctx's.
// The body is not changed but may be read until the connection is done with
// it, even after do has returned: do not reuse it.
func (c *client) do(ctx context.Context, r request) (answer, error) {
	started := time.Now()
	a, err := c.perform(ctx, r)
	if c.metrics != nil {
		c.metrics.Request(a.status, time.Since(started), r.plainSize, len(r.body))
	}
	return a, err
}

func (c *client) perform(parent context.Context, r request) (answer, error) {
	ctx, cancel := context.WithTimeout(parent, c.cfg.Timeout)
	defer cancel()
	res, err := c.ask(ctx, &r)
	if err != nil {
		return answer{}, c.failed(parent, err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if !c.genuine.Load() && a.status >= 200 && a.status < 300 {
		if res.Header.Get("X-Elastic-Product") != "Elasticsearch" {
			return a, fault.New(fault.Transient, fault.Garbled, "the server does not say that it is Elasticsearch (header X-Elastic-Product)").
				WithHint("check the address; a proxy before Elasticsearch must pass the header on")
		}
		c.genuine.Store(true)
	}
	a.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return a, c.failed(parent, fmt.Errorf("reading the answer: %w", err))
	}
	if len(a.body) > maxAnswer {
		return a, fault.New(fault.Transient, fault.Garbled, "reading the answer: more than %d bytes", maxAnswer)
	}
	return a, nil
}

// ask sends a request and returns the answer with its body unread.
func (c *client) ask(ctx context.Context, r *request) (*esapi.Response, error) {
	header := http.Header{"Accept": {"application/json"}}
	if r.contentType != "" {
		header.Set("Content-Type", r.contentType)
	}
	if r.gzipped {
		header.Set("Content-Encoding", "gzip")
	}
	if r.bulk != nil {
		withSource := false
		bulk := esapi.BulkRequest{Body: bytes.NewReader(r.body), IncludeSourceOnError: &withSource, FilterPath: r.bulk.filter, Header: header}
		if r.bulk.dataStream {
			bulk.RequireDataStream = &r.bulk.dataStream
		}
		if r.bulk.alias {
			bulk.RequireAlias = &r.bulk.alias
		}
		return bulk.Do(ctx, c.base)
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.path, body)
	if err != nil {
		return nil, fault.New(fault.Permanent, fault.Internal, "making a request: %w", err)
	}
	req.Header = header
	res, err := c.base.Perform(req)
	if err != nil {
		return nil, err
	}
	return &esapi.Response{StatusCode: res.StatusCode, Header: res.Header, Body: res.Body}, nil
}

// failed classifies a request that has no complete answer: the outcome is
// unknown and the same documents are sent again.
func (c *client) failed(parent context.Context, err error) error {
	if parent.Err() != nil {
		return context.Cause(parent)
	}
	if f := fault.Of(err); f != nil && f.Class == fault.Permanent {
		return f
	}
	text := c.cfg.APIKey.Redact(c.cfg.Password.Redact(err.Error()))
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.New(fault.Transient, fault.Unavailable, "asking Elasticsearch: no answer within %v", c.cfg.Timeout)
	}
	return &fault.Error{
		Class: fault.Transient, Reason: fault.Unavailable,
		Err: fmt.Errorf("asking Elasticsearch: %s", text),
	}
}

func (c *client) close() error {
	err := c.base.Close(context.Background())
	c.transport.CloseIdleConnections()
	return err
}
