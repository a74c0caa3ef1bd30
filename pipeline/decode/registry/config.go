package registry

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/pipeline/tlsconf"
)

// Config is what an operator sets of a schema registry.
type Config struct {
	// URLs are the addresses of the registry's servers, such as
	// https://registry.example:8081. The next one is asked when one fails; no
	// other address is ever asked. Without one there is no registry.
	URLs []string `yaml:"urls"`
	// Username and Password authenticate at the registry (HTTP Basic).
	Username string        `yaml:"username"`
	Password secret.String `yaml:"password"`
	// Token authenticates at the registry in place of Username and Password
	// (HTTP Bearer). Secrets from files are read again when they are refused.
	Token secret.String  `yaml:"token"`
	TLS   tlsconf.Config `yaml:"tls"`
	// Timeout bounds one request.
	Timeout time.Duration `yaml:"timeout"`
	// MaxSchemas is how many schemas are kept in memory. Beyond them the one that
	// was not used for longest is asked for again when a record names it.
	MaxSchemas int `yaml:"max_schemas"`
	// UnknownFor is how long an id that the registry does not know counts as
	// unknown before it is asked again.
	UnknownFor time.Duration `yaml:"unknown_for"`
}

// DefaultConfig returns the defaults, without a registry.
func DefaultConfig() Config {
	return Config{Timeout: 10 * time.Second, MaxSchemas: 1000, UnknownFor: time.Minute}
}

// Enabled reports whether there is a registry.
func (c *Config) Enabled() bool { return len(c.URLs) > 0 }

// Validate reports every setting that cannot work.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, err := parseURLs(c.URLs); err != nil {
		fail("urls: %w", err)
	}
	basic := c.Username != "" || !c.Password.IsZero()
	switch {
	case basic && !c.Token.IsZero():
		fail("token: expected either token or username and password, found both")
	case basic && (c.Username == "" || c.Password.IsZero()):
		fail("username: expected username and password together, found only one of them")
	}
	if err := c.TLS.Validate(); err != nil {
		errs = append(errs, err)
	}
	if !c.Enabled() && (basic || !c.Token.IsZero() || c.TLS != (tlsconf.Config{})) {
		fail("urls: expected the address of the registry, because other settings of it are given, found none")
	}
	if c.Timeout < time.Millisecond || c.Timeout > time.Minute {
		fail("timeout: expected 1ms to 1m, found %s", c.Timeout)
	}
	if c.MaxSchemas < 1 {
		fail("max_schemas: expected 1 or more, found %d", c.MaxSchemas)
	}
	if c.UnknownFor < time.Second {
		fail("unknown_for: expected at least 1s, found %s", c.UnknownFor)
	}
	return errors.Join(errs...)
}

// parseURLs reads the addresses. Credentials are refused in them: addresses are
// logged, secrets have settings of their own.
func parseURLs(addresses []string) ([]*url.URL, error) {
	var urls []*url.URL
	for _, address := range addresses {
		u, err := url.Parse(address)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			return nil, errors.New("expected an address such as https://registry.example:8081")
		case u.User != nil:
			return nil, errors.New("an address carries credentials: use username and password, or token")
		case u.RawQuery != "" || u.Fragment != "":
			return nil, fmt.Errorf("the address %s://%s%s carries a query or fragment: remove it", u.Scheme, u.Host, u.Path)
		}
		urls = append(urls, u)
	}
	return urls, nil
}
