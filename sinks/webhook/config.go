package webhook

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/pipeline/tlsconf"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// Common is what both kinds of receivers need.
type Common struct {
	// URL is the receiver's address.
	URL string `yaml:"url"`
	// AllowedHosts are the hosts that may be asked; an entry that begins with a dot allows those below it. That of url has to be among them.
	AllowedHosts []string `yaml:"allowed_hosts"`
	// AllowPrivate permits loopback and private addresses, and plain http; link-local, metadata and multicast addresses stay out of reach.
	AllowPrivate bool           `yaml:"allow_private"`
	TLS          tlsconf.Config `yaml:"tls"`
	// Timeout bounds one attempt.
	Timeout time.Duration `yaml:"timeout"`
}

// Config is what an operator sets of a signed webhook.
type Config struct {
	Common `yaml:",inline"`
	// Secret is shared with the receiver, which verifies the signature with it.
	Secret secret.String `yaml:"secret"`
}

// AlertmanagerConfig is what an operator sets of an Alertmanager.
type AlertmanagerConfig struct {
	Common `yaml:",inline"`
	// Token is sent as bearer token, for a proxy before the Alertmanager.
	Token secret.String `yaml:"token"`
	// Labels are added to every alert.
	Labels map[string]string `yaml:"labels"`
	// ConsoleURL, where set, is the base of links to this gateway's console.
	ConsoleURL string `yaml:"console_url"`
}

// leastSecret is the least length of a secret: HMAC-SHA256 gains nothing from a
// key that can be guessed.
const leastSecret = 16

// DefaultConfig returns the defaults; url, allowed_hosts and secret are missing.
func DefaultConfig() Config { return Config{Common: Common{Timeout: 10 * time.Second}} }

// DefaultAlertmanagerConfig returns the defaults; url and allowed_hosts are
// missing.
func DefaultAlertmanagerConfig() AlertmanagerConfig {
	return AlertmanagerConfig{Common: Common{Timeout: 10 * time.Second}}
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	errs := []error{c.Common.validate()}
	if n := len(c.Secret.Reveal()); n < leastSecret {
		errs = append(errs, fmt.Errorf("secret: expected at least %d characters from the environment or a file, found %d", leastSecret, n))
	}
	return errors.Join(errs...)
}

// Validate reports everything that is wrong with the configuration.
func (c AlertmanagerConfig) Validate() error { return c.Common.validate() }

func (c Common) validate() error {
	var errs []error
	u, err := c.address()
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("url: %w", err))
	case u.Scheme != "https" && !c.AllowPrivate:
		errs = append(errs, errors.New("url: expected https; plain http is for receivers in your own network (allow_private)"))
	case !allowed(u.Hostname(), c.AllowedHosts):
		errs = append(errs, fmt.Errorf("allowed_hosts: expected an entry for %s, found %q", u.Hostname(), c.AllowedHosts))
	}
	if err := c.TLS.Validate(); err != nil {
		errs = append(errs, err)
	}
	if c.Timeout <= 0 || c.Timeout > time.Minute {
		errs = append(errs, fmt.Errorf("timeout: expected up to 1m, found %s", c.Timeout))
	}
	return errors.Join(errs...)
}

func (c Common) address() (*url.URL, error) {
	list, err := httpx.ParseURLs([]string{c.URL})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}
