package splunk

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/pipeline/tlsconf"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// Config is what an operator sets of a Splunk sink.
type Config struct {
	// URLs are the collectors' addresses without path, such as
	// https://hec.example.com:8088. The next one is asked when one fails.
	URLs []string `yaml:"urls"`
	// Token is the collector's. From a file it is read again when refused.
	Token secret.String  `yaml:"token"`
	TLS   tlsconf.Config `yaml:"tls"`

	// Source is Splunk's source field of every event.
	Source string `yaml:"source"`
	// Index is the index to write to; "" leaves it to the token.
	Index string `yaml:"index"`
	// Indexes sets another index for a stream: telemetry, metrics, alerts,
	// gateway.
	Indexes map[string]string `yaml:"indexes"`
	// FallbackIndex takes what an index refuses because it does not exist or
	// the token may not write to it. Without one the sink waits for an operator.
	FallbackIndex string `yaml:"fallback_index"`

	// Timeout bounds one request.
	Timeout time.Duration `yaml:"timeout"`
	// Gzip compresses requests.
	Gzip bool `yaml:"gzip"`
	// RequestBytes bounds one request before compression.
	RequestBytes strict.Bytes `yaml:"request_bytes"`
	// Concurrency and InFlightBytes bound the requests in flight together.
	Concurrency   int          `yaml:"concurrency"`
	InFlightBytes strict.Bytes `yaml:"in_flight_bytes"`

	Ack Ack `yaml:"ack"`
}

// Ack is indexer acknowledgement. Splunk Enterprise has it, Splunk Cloud does
// not; it is switched on per token.
type Ack struct {
	// Enabled waits until an indexer acknowledges.
	Enabled bool `yaml:"enabled"`
	// Required makes a token without acknowledgement an operator's fault
	// instead of a warning.
	Required bool `yaml:"required"`
	// Interval is the longest pause between two questions.
	Interval time.Duration `yaml:"interval"`
	// GiveUp is when events that were not acknowledged are sent again.
	GiveUp time.Duration `yaml:"give_up"`
}

// DefaultConfig returns the defaults; the token is missing.
func DefaultConfig() Config {
	return Config{
		URLs:          []string{"https://127.0.0.1:8088"},
		Source:        "edrwatch",
		Timeout:       time.Minute,
		Gzip:          true,
		RequestBytes:  2 << 20,
		Concurrency:   4,
		InFlightBytes: 16 << 20,
		Ack:           Ack{Interval: 10 * time.Second, GiveUp: 5 * time.Minute},
	}
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, err := httpx.ParseURLs(c.URLs); err != nil {
		fail("urls: %w", err)
	}
	if c.Token.IsZero() {
		fail("token: expected the collector's token, found nothing")
	}
	if err := c.TLS.Validate(); err != nil {
		errs = append(errs, err)
	}
	for name := range c.Indexes {
		if !slices.ContainsFunc(event.Streams(), func(s event.Stream) bool { return s.String() == name }) {
			fail("indexes: expected telemetry, metrics, alerts or gateway, found %q", name)
		}
	}
	for name, value := range map[string]int64{
		"timeout": int64(c.Timeout), "request_bytes": int64(c.RequestBytes), "concurrency": int64(c.Concurrency),
		"in_flight_bytes": int64(c.InFlightBytes), "ack.interval": int64(c.Ack.Interval), "ack.give_up": int64(c.Ack.GiveUp),
	} {
		if value < 1 {
			fail("%s: expected more than 0, found %d", name, value)
		}
	}
	return errors.Join(errs...)
}
