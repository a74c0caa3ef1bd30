package elasticsearch

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/pipeline/tlsconf"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// Config is what an operator sets of an Elasticsearch sink.
type Config struct {
	// URLs are the addresses of the cluster's nodes; requests go to them in
	// turn and a node that does not answer is left out for a while.
	URLs []string `yaml:"urls"`
	// Namespace is the last part of the data streams' names, such as the
	// environment or the tenant.
	Namespace string `yaml:"namespace"`

	// APIKey is the encoded form that Elasticsearch returns. It excludes
	// Username and Password. Secrets from files are read again when refused.
	APIKey   secret.String  `yaml:"api_key"`
	Username string         `yaml:"username"`
	Password secret.String  `yaml:"password"`
	TLS      tlsconf.Config `yaml:"tls"`

	// Timeout bounds one request.
	Timeout time.Duration `yaml:"timeout"`
	// Gzip compresses requests.
	Gzip bool `yaml:"gzip"`
	// RequestBytes and RequestDocuments bound one request, before compression.
	RequestBytes     strict.Bytes `yaml:"request_bytes"`
	RequestDocuments int          `yaml:"request_documents"`
	// Concurrency and InFlightBytes bound the requests in flight together.
	Concurrency   int          `yaml:"concurrency"`
	InFlightBytes strict.Bytes `yaml:"in_flight_bytes"`

	// Templates is what set-up installs.
	Templates Templates `yaml:"templates"`
}

// DefaultConfig returns the defaults: one node on this machine.
func DefaultConfig() Config {
	return Config{
		URLs:             []string{"http://127.0.0.1:9200"},
		Namespace:        "default",
		Timeout:          time.Minute,
		Gzip:             true,
		RequestBytes:     5 << 20,
		RequestDocuments: 5000,
		Concurrency:      4,
		InFlightBytes:    32 << 20,
		Templates:        DefaultTemplates(),
	}
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, err := httpx.ParseURLs(c.URLs); err != nil {
		fail("urls: %w", err)
	}
	if !validNamespace(c.Namespace) {
		fail("namespace: expected lower-case letters, digits, '_' and '.', at most 100, found %q", c.Namespace)
	}
	if !c.APIKey.IsZero() && (c.Username != "" || !c.Password.IsZero()) {
		fail("api_key: excludes username and password, found both")
	}
	if (c.Username == "") != c.Password.IsZero() {
		fail("username: belongs together with password, found only one of them")
	}
	if err := c.TLS.Validate(); err != nil {
		errs = append(errs, err)
	}
	if c.Timeout <= 0 {
		fail("timeout: expected a duration above 0, found %v", c.Timeout)
	}
	for name, value := range map[string]int64{
		"request_bytes": int64(c.RequestBytes), "request_documents": int64(c.RequestDocuments),
		"concurrency": int64(c.Concurrency), "in_flight_bytes": int64(c.InFlightBytes),
	} {
		if value < 1 {
			fail("%s: expected at least 1, found %d", name, value)
		}
	}
	if err := c.Templates.validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// validNamespace follows the naming scheme of data streams: a '-' would move
// the borders between type, dataset and namespace.
func validNamespace(s string) bool {
	if s == "" || len(s) > 100 {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_.") == "" && s[0] != '_' && s[0] != '.'
}
