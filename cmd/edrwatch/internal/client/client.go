// Package client asks a running gateway through its API.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/api"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// Config says where the gateway is.
type Config struct {
	// Server is the base URL of its API, such as http://127.0.0.1:8686.
	Server string
	// CA is a file of certificates that are trusted besides those of the
	// system; "" for none.
	CA string
	// Token is sent as bearer token, for a proxy in front of the gateway; "" for
	// none.
	Token string
}

// Client asks one gateway. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// ErrNotFound is the error of a question about something that the gateway does
// not know.
var ErrNotFound = errors.New("not known")

// ErrUnavailable is the error of a question that may be answered later: nobody
// listens, the answer is cut off, or a proxy or the gateway is overloaded.
var ErrUnavailable = errors.New("gateway not reachable")

// maxAnswer bounds an answer.
const maxAnswer = 256 << 20

// New returns a client. It connects to nothing yet.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(cfg.Server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("server: expected a URL such as http://127.0.0.1:8686, found %q", cfg.Server)
	}
	if base.User != nil {
		return nil, errors.New("server: a URL must not hold user name or password, which would show in logs: set EDRWATCH_TOKEN")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.CA != "" {
		pem, err := os.ReadFile(cfg.CA)
		if err != nil {
			return nil, fmt.Errorf("reading certificates: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading certificates: expected PEM in %s, found none", cfg.CA)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &Client{base: base, token: cfg.Token, http: &http.Client{Transport: transport, Timeout: 30 * time.Second}}, nil
}

// Rollouts returns what the gateway knows of the versions that agents get.
func (c *Client) Rollouts(ctx context.Context) ([]fleet.Rollout, error) {
	var answer struct {
		Rollouts []fleet.Rollout `json:"rollouts"`
	}
	err := c.get(ctx, "/api/v1/rollouts", nil, &answer)
	return answer.Rollouts, err
}

// Rollout returns what the gateway knows of one version; kind and channel may
// be empty where the version says enough. The error is ErrNotFound when no
// agent got it recently.
func (c *Client) Rollout(ctx context.Context, product, kind, channel, version string) (fleet.Rollout, error) {
	var r fleet.Rollout
	query := url.Values{}
	for name, value := range map[string]string{"kind": kind, "channel": channel} {
		if value != "" {
			query.Set(name, value)
		}
	}
	err := c.get(ctx, "/api/v1/rollouts/"+url.PathEscape(product)+"/"+url.PathEscape(version), query, &r)
	return r, err
}

// Inventory returns a page of the agents that the gateway knows.
func (c *Client) Inventory(ctx context.Context, q fleet.Query) (fleet.Page, error) {
	var page fleet.Page
	query := selection(q)
	if q.After != "" {
		query.Set("after", q.After)
	}
	if q.Limit > 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	err := c.get(ctx, "/api/v1/fleet/inventory", query, &page)
	return page, err
}

// Summary returns how many agents the gateway knows, by what they are.
func (c *Client) Summary(ctx context.Context, q fleet.Query) (fleet.Summary, error) {
	var sum fleet.Summary
	err := c.get(ctx, "/api/v1/fleet/inventory/summary", selection(q), &sum)
	return sum, err
}

// Rules returns the rules that the gateway runs, with what each costs.
func (c *Client) Rules(ctx context.Context) ([]api.Rule, error) {
	var list struct {
		Rules []api.Rule `json:"rules"`
	}
	err := c.get(ctx, "/api/v1/rules", nil, &list)
	return list.Rules, err
}

// selection is what both questions about the inventory have in common.
func selection(q fleet.Query) url.Values {
	query := url.Values{}
	for name, value := range map[string]string{
		"product": q.Product, "version": q.Version, "ring": q.Ring, "mode": q.Mode, "state": q.State, "site": q.Site, "presence": q.Presence, "host": q.Host, "content": q.Content, "q": q.Text,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if q.Behind {
		query.Set("behind", "true")
	}
	return query
}

func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	target := strings.TrimSuffix(c.base.String(), "/") + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return fmt.Errorf("asking the gateway: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w: does it run, and is --server its http.listen?", ErrUnavailable, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%w: reading its answer: %w", ErrUnavailable, err)
	}
	if response.StatusCode != http.StatusOK {
		return c.refused(response, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("reading the gateway's answer: %w: is %s an edrwatch?", err, c.base.Host)
	}
	return nil
}

func (c *Client) refused(response *http.Response, body []byte) error {
	var answer struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	message := response.Status
	if json.Unmarshal(body, &answer) == nil && answer.Error.Message != "" {
		message = answer.Error.Message
	}
	switch code := response.StatusCode; {
	case code == http.StatusNotFound:
		return fmt.Errorf("%w: %s", ErrNotFound, message)
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return fmt.Errorf("%w: it answered %s", ErrUnavailable, message)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fmt.Errorf("the gateway, or a proxy in front of it, refused: %s: is EDRWATCH_TOKEN right?", message)
	}
	return fmt.Errorf("the gateway refused: %s", message)
}
