// Package kibana holds the saved objects for Kibana and installs them.
package kibana

import (
	"bytes"
	"context"
	"crypto/tls"
	_ "embed" // The objects are the file that people import by hand.
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/secret"
)

//go:embed edrwatch.ndjson
var objects []byte

// Objects returns the saved objects, one JSON object a line.
func Objects() []byte { return slices.Clone(objects) }

// Config says where they are installed.
type Config struct {
	URL    string        // of Kibana, such as https://kibana.example:5601
	Space  string        // "" for the default space
	APIKey secret.String // the encoded form that Elasticsearch returns
	TLS    *tls.Config   // nil: the system's
}

// importTimeout bounds the import; Kibana rewrites objects of older versions.
const importTimeout = time.Minute

// Validate reports what is wrong with the configuration.
func (c *Config) Validate() error {
	base, err := url.Parse(c.URL)
	switch {
	case err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https":
		return fmt.Errorf("url: expected a URL such as https://kibana.example:5601, found %q", c.URL)
	case base.User != nil:
		return errors.New("url: expected no user name and password, which would show in logs: use an API key")
	case strings.Trim(c.Space, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "":
		return fmt.Errorf("space: expected the identifier of a space, of lower-case letters, digits, '_' and '-', found %q", c.Space)
	}
	return nil
}

// Import installs the saved objects, or replaces those of their ids and nothing
// else, and returns how many.
func Import(ctx context.Context, c Config) (int, error) {
	if err := c.Validate(); err != nil {
		return 0, err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "edrwatch.ndjson")
	if err == nil {
		_, err = part.Write(objects)
	}
	if err = errors.Join(err, form.Close()); err != nil {
		return 0, err
	}
	path := strings.TrimSuffix(c.URL, "/")
	if c.Space != "" {
		path += "/s/" + c.Space
	}
	ctx, cancel := context.WithTimeout(ctx, importTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, path+"/api/saved_objects/_import?overwrite=true", &body)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.Header.Set("kbn-xsrf", "edrwatch")
	if key := c.APIKey.Reveal(); key != "" {
		r.Header.Set("Authorization", "ApiKey "+key)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: c.TLS}
	defer transport.CloseIdleConnections()
	// A redirect would take the key to another server.
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		return 0, fmt.Errorf("asking Kibana: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return 0, fmt.Errorf("reading Kibana's answer: %w", err)
	}
	return imported(answer.StatusCode, answer.Status, text)
}

// imported reads Kibana's answer.
func imported(code int, status string, text []byte) (int, error) {
	excerpt := strings.TrimSpace(string(text[:min(len(text), 300)]))
	switch {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return 0, fmt.Errorf("asking Kibana: it answered %s: give it the API key of a user who may write Saved Objects Management in the space: %s", status, excerpt)
	case code == http.StatusNotFound:
		return 0, fmt.Errorf("asking Kibana: it answered %s: is the address that of Kibana, base path included, and does the space exist? %s", status, excerpt)
	case code != http.StatusOK:
		return 0, fmt.Errorf("asking Kibana: it answered %s: %s", status, excerpt)
	}
	var result struct {
		Success bool
		Count   int `json:"successCount"`
		Errors  []struct {
			ID, Type string
			Error    struct{ Type, Message string }
		}
	}
	if err := json.Unmarshal(text, &result); err != nil {
		return 0, fmt.Errorf("expected the answer of Kibana's import, found %s: is the address that of Kibana?", excerpt)
	}
	var problems []error
	for _, e := range result.Errors {
		problems = append(problems, fmt.Errorf("%s %s: %s", e.Type, e.ID, strings.TrimSpace(e.Error.Type+" "+e.Error.Message)))
	}
	if !result.Success {
		return result.Count, fmt.Errorf("asking Kibana: it took %d objects and not all: %w", result.Count, errors.Join(problems...))
	}
	return result.Count, nil
}
