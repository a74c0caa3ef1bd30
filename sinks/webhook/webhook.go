package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/respond"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// Settings are what the composition root gives to a responder.
type Settings struct {
	Logger *slog.Logger
	Now    func() time.Time
}

// maxAnswer bounds how much of an answer is read.
const maxAnswer = 64 << 10

// Webhook posts acts as JSON, signed. It is safe for concurrent use.
type Webhook struct {
	cfg    Config
	client *http.Client
	now    func() time.Time
}

// New returns a webhook; it does not connect.
func New(cfg Config, set Settings) (*Webhook, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	client, err := newClient(cfg.TLS, cfg.AllowPrivate, cfg.Timeout, set.Logger)
	if err != nil {
		return nil, err
	}
	return &Webhook{cfg, client, set.Now}, nil
}

// Send implements respond.Responder. The act's id stands in Idempotency-Key as
// well. Any 2xx means that the receiver has it; a 401 or 403 is tried again with
// the secret as its file holds it by then.
func (w *Webhook) Send(ctx context.Context, a *respond.Act) (int, error) {
	body, err := json.Marshal(a)
	if err != nil {
		return 0, fault.New(fault.Permanent, fault.Internal, "encoding an act: %v", err)
	}
	header := http.Header{
		"Content-Type": {"application/json"}, "Idempotency-Key": {a.ID}, "User-Agent": {"edrwatch"},
		SignatureHeader: {Sign(w.cfg.Secret.Reveal(), w.now(), body)},
	}
	status, err := post(ctx, w.client, w.cfg.URL, header, body, w.now())
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		if _, err := w.cfg.Secret.Refresh(); err != nil {
			return status, fault.New(fault.Operator, fault.Unauthorized, "%v", err)
		}
	}
	return status, err
}

// Check reports whether the receiver can be reached: its name resolves to an
// address that may be asked, its certificate is trusted, and it answers. Whether
// it takes acts only an act can tell.
func (w *Webhook) Check(ctx context.Context) error { return check(ctx, w.client, w.cfg.URL) }

// Close ends idle connections.
func (w *Webhook) Close() error {
	w.client.CloseIdleConnections()
	return nil
}

// post makes one request; the error is classified.
func post(ctx context.Context, client *http.Client, address string, header http.Header, body []byte, now time.Time) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, fault.New(fault.Operator, fault.Misconfigured, "making a request: %w", withoutAddress(err))
	}
	request.Header = header
	response, err := client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return 0, fault.New(fault.Transient, fault.Unavailable, "asking %s: %w", request.URL.Host, withoutAddress(err))
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		return response.StatusCode, nil // What it says does not matter, nor whether all of it came.
	}
	text := httpx.Excerpt(answer)
	if err != nil {
		text = fmt.Sprintf("%s (%v)", text, err)
	}
	return response.StatusCode, httpx.Classify(response.StatusCode, response.Header, now, text)
}

// check asks for nothing (HEAD, which changes nothing: RFC 9110, 9.2.1). What is
// answered does not matter; many hooks know no method but POST.
func check(ctx context.Context, client *http.Client, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return fault.New(fault.Operator, fault.Misconfigured, "making a request: %w", withoutAddress(err))
	}
	request.Header.Set("User-Agent", "edrwatch")
	response, err := client.Do(request)
	if err != nil {
		return fault.New(fault.Transient, fault.Unavailable, "asking %s: %w", request.URL.Host, withoutAddress(err))
	}
	return response.Body.Close()
}

// withoutAddress takes the address out of an error: who knows the path of a hook
// may often call it, and errors are logged and become documents.
func withoutAddress(err error) error {
	var quoted *url.Error
	if errors.As(err, &quoted) {
		return quoted.Err
	}
	return err
}
