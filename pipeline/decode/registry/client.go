package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// maxAnswer bounds the bytes that are read of an answer.
const maxAnswer = 4 << 20

// answer is what came back, read in full.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// client sends requests to the registry's servers with the credentials as they
// are now. It is safe for concurrent use.
type client struct {
	cfg       Config
	urls      []*url.URL
	http      *http.Client
	transport *http.Transport
	log       *slog.Logger
	current   atomic.Uint32 // of urls: the one to ask first
}

func newClient(cfg Config, log *slog.Logger) (*client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	urls, err := parseURLs(cfg.URLs)
	if err != nil {
		return nil, err
	}
	conf, err := cfg.TLS.Client(log)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: cfg.Timeout}).DialContext,
		TLSClientConfig:       conf,
		TLSHandshakeTimeout:   cfg.Timeout,
		ResponseHeaderTimeout: cfg.Timeout,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   2,
		ForceAttemptHTTP2:     true,
	}
	return &client{cfg: cfg, urls: urls, transport: transport, log: log, http: &http.Client{
		Transport: transport,
		// A redirect would carry credentials to a server that nobody configured; it is reported instead.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// get asks for a path, one server after the other until one answers for good,
// and decodes its answer into v. Errors are classified, or ctx's.
func (c *client) get(ctx context.Context, v any, path ...string) error {
	first := c.current.Load()
	var err error
	for i := range c.urls {
		number := (first + uint32(i)) % uint32(len(c.urls))
		if err = c.ask(ctx, c.urls[number], v, path); err == nil || ctx.Err() != nil || fault.Of(err).Class == fault.Permanent {
			c.current.Store(number)
			return err
		}
	}
	return err
}

// ask asks one server. Refused credentials are read from their files once more.
func (c *client) ask(ctx context.Context, base *url.URL, v any, path []string) error {
	a, err := c.request(ctx, base, path)
	if err == nil && (a.status == http.StatusUnauthorized || a.status == http.StatusForbidden) && c.refresh() {
		a, err = c.request(ctx, base, path)
	}
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return refusal(base, a)
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		return fault.New(fault.Transient, fault.Garbled, "asking the schema registry %s: its answer is not the JSON that was expected", base.Host).
			WithHint("check that schema_registry.urls names a schema registry")
	}
	return nil
}

func (c *client) request(parent context.Context, base *url.URL, path []string) (answer, error) {
	ctx, cancel := context.WithTimeout(parent, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath(path...).String(), http.NoBody)
	if err != nil {
		return answer{}, fault.New(fault.Permanent, fault.Internal, "making a request: %w", err)
	}
	req.Header.Set("Accept", "application/vnd.schemaregistry.v1+json, application/json")
	if c.cfg.Username != "" {
		req.SetBasicAuth(c.cfg.Username, c.cfg.Password.Reveal())
	} else if !c.cfg.Token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token.Reveal())
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, unanswered(parent, base, c.cfg.Timeout, err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1)); err != nil {
		return a, unanswered(parent, base, c.cfg.Timeout, err)
	}
	if len(a.body) > maxAnswer {
		return a, fault.New(fault.Transient, fault.Garbled, "asking the schema registry %s: its answer has more than 4 MiB", base.Host)
	}
	return a, nil
}

func unanswered(parent context.Context, base *url.URL, timeout time.Duration, err error) error {
	switch {
	case parent.Err() != nil:
		return context.Cause(parent)
	case errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.Transient, fault.Unavailable, "asking the schema registry %s: no answer within %v", base.Host, timeout)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // Without the address, which stands in the message already.
	}
	return fault.New(fault.Transient, fault.Unavailable, "asking the schema registry %s: %w", base.Host, err)
}

// refresh reads the secrets from their files again and reports whether one is
// another by now.
func (c *client) refresh() bool {
	password, err := c.cfg.Password.Refresh()
	token, tokenErr := c.cfg.Token.Refresh()
	if err := errors.Join(err, tokenErr); err != nil {
		c.log.Warn("the schema registry refused the credentials and they cannot be read again", "error", err)
	}
	return password || token
}

// Error codes of the protocol that say that something is not there.
const (
	subjectNotFound = 40401
	versionNotFound = 40402
	schemaNotFound  = 40403
)

// refusal classifies an answer other than 200. Only the registry's own word, in
// its own form, condemns a record: a 404 of a proxy, or of a wrong path in the
// configuration, says nothing about schemas.
func refusal(base *url.URL, a answer) error {
	var said struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(a.body, &said) // Without it the status has to do.
	f := fault.New(fault.Operator, fault.Misconfigured, "asking the schema registry %s: it answered %d", base.Host, a.status)
	switch {
	case a.status == http.StatusNotFound && (said.Code == subjectNotFound || said.Code == versionNotFound || said.Code == schemaNotFound):
		f.Class, f.Reason = fault.Permanent, fault.UnknownSchema
		f.Err = fmt.Errorf("the schema registry %s has no such schema (error %d)", base.Host, said.Code)
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		f.Reason = fault.Unauthorized
		f.Hint = "check the credentials of schema_registry and that they may read schemas"
	case a.status == http.StatusTooManyRequests:
		f.Class, f.Reason = fault.Transient, fault.Overloaded
	case a.status == http.StatusRequestTimeout, a.status >= 500:
		f.Class, f.Reason = fault.Transient, fault.Unavailable
	case a.status >= 300 && a.status < 400:
		f.Hint = "it redirects, which is not followed: name the address that answers in schema_registry.urls"
	default:
		f.Hint = "check schema_registry.urls"
	}
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && seconds > 0 {
		f.RetryAfter = min(time.Duration(seconds)*time.Second, time.Minute)
	}
	return f
}

func (c *client) close() { c.transport.CloseIdleConnections() }
