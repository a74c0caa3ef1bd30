// Package kafkaconn is how every part of edrwatch that connects to Kafka, source
// and dead letter alike, is configured: where the brokers are and how to prove who it
// is: TLS, mTLS, SASL PLAIN and SCRAM.
package kafkaconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/pipeline/tlsconf"
)

// Config is the connection to one Kafka cluster.
type Config struct {
	// Brokers are addresses to start from, such as kafka-1:9092.
	Brokers []string `yaml:"brokers"`
	// ClientID is the name under which the brokers log and limit this client.
	ClientID string `yaml:"client_id"`
	TLS      TLS    `yaml:"tls"`
	SASL     SASL   `yaml:"sasl"`
	// DialTimeout bounds making a connection, TLS and SASL included.
	DialTimeout time.Duration `yaml:"dial_timeout"`
}

// TLS is package tlsconf's with a switch: a broker's address does not say
// whether it speaks TLS.
type TLS struct {
	Enabled        bool `yaml:"enabled"`
	tlsconf.Config `yaml:",inline"`
}

// SASL is a name and password for the brokers. The password is read again from
// its file for each connection.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or "" for none.
	Mechanism string        `yaml:"mechanism"`
	Username  string        `yaml:"username"`
	Password  secret.String `yaml:"password"`
}

// The SASL mechanisms.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// DefaultConfig returns the defaults: one broker on this machine, no TLS.
func DefaultConfig() Config {
	return Config{Brokers: []string{"127.0.0.1:9092"}, ClientID: "edrwatch", DialTimeout: 10 * time.Second}
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Brokers) == 0 {
		fail("brokers: expected at least one address such as kafka-1:9092")
	}
	for _, b := range c.Brokers {
		if _, port, err := net.SplitHostPort(b); err != nil || port == "" || strings.ContainsAny(b, "/@") {
			fail("brokers: expected host:port such as kafka-1:9092, found %q", b)
		}
	}
	if c.DialTimeout <= 0 {
		fail("dial_timeout: expected a duration above 0, found %v", c.DialTimeout)
	}
	if c.TLS.Config != (tlsconf.Config{}) && !c.TLS.Enabled {
		fail("tls: has settings but is not enabled; set tls.enabled")
	}
	if err := c.TLS.Validate(); err != nil {
		errs = append(errs, err)
	}
	switch c.SASL.Mechanism {
	case "":
		if c.SASL.Username != "" || !c.SASL.Password.IsZero() {
			fail("sasl.mechanism: expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 with a username or password, found none")
		}
	case Plain, ScramSHA256, ScramSHA512:
		if c.SASL.Username == "" || c.SASL.Password.IsZero() {
			fail("sasl: expected username and password for mechanism %s", c.SASL.Mechanism)
		}
	default:
		fail("sasl.mechanism: expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, found %q", c.SASL.Mechanism)
	}
	return errors.Join(errs...)
}

// Transport returns a transport for kafka.Client and kafka.Writer. Its owner
// calls CloseIdleConnections when done.
func (c Config) Transport(log *slog.Logger) (*kafka.Transport, error) {
	t := &kafka.Transport{ClientID: c.ClientID, DialTimeout: c.DialTimeout, IdleTimeout: 5 * time.Minute, SASL: c.mechanism(log)}
	if c.TLS.Enabled {
		conf, err := c.TLS.Client(log)
		if err != nil {
			return nil, err
		}
		t.TLS = conf
	}
	return t, nil
}

// Dialer returns a dialer for kafka.Conn and kafka.ConsumerGroup.
func (c Config) Dialer(log *slog.Logger) (*kafka.Dialer, error) {
	d := &kafka.Dialer{ClientID: c.ClientID, Timeout: c.DialTimeout, DualStack: true, SASLMechanism: c.mechanism(log)}
	if c.TLS.Enabled {
		conf, err := c.TLS.Client(log)
		if err != nil {
			return nil, err
		}
		d.TLS = conf
	}
	return d, nil
}

func (c Config) mechanism(log *slog.Logger) sasl.Mechanism {
	if c.SASL.Mechanism == "" {
		return nil
	}
	return mechanism{c.SASL, log}
}

// mechanism starts each authentication with the password as it is now.
type mechanism struct {
	SASL
	log *slog.Logger
}

func (m mechanism) Name() string { return m.Mechanism }

func (m mechanism) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	if _, err := m.Password.Refresh(); err != nil {
		m.log.Warn("SASL password not read again from its file; using the previous one", "error", err)
	}
	password := m.Password.Reveal()
	if m.Mechanism == Plain {
		return plain.Mechanism{Username: m.Username, Password: password}.Start(ctx)
	}
	algorithm := scram.SHA256
	if m.Mechanism == ScramSHA512 {
		algorithm = scram.SHA512
	}
	started, err := scram.Mechanism(algorithm, m.Username, password)
	if err != nil {
		return nil, nil, fmt.Errorf("preparing SASL %s: %w", m.Name(), err)
	}
	return started.Start(ctx)
}
