package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

const clientID = "edrwatch"

// dialer opens authenticated connections to brokers.
type dialer struct {
	cfg *Config

	mu   sync.Mutex
	open map[net.Conn]struct{}
}

func newDialer(cfg *Config) *dialer {
	return &dialer{cfg: cfg, open: make(map[net.Conn]struct{})}
}

// connect opens TCP and, where it is configured, TLS. Reading the files here
// makes rotated certificates count without a restart.
func (d *dialer) connect(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil || !d.cfg.TLS.Enabled {
		return conn, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		conn.Close()
		return nil, err
	}
	settings, err := d.cfg.TLS.client(host)
	if err != nil {
		conn.Close()
		return nil, err
	}
	secured := tls.Client(conn, settings)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, &tlsError{err}
	}
	return secured, nil
}

// tlsError marks an error of the handshake.
type tlsError struct{ err error }

func (e *tlsError) Error() string { return "TLS handshake: " + e.err.Error() }
func (e *tlsError) Unwrap() error { return e.err }

// client returns the settings for a connection to host. That verification is
// off was logged when the source was made.
func (t *TLS) client(host string) (*tls.Config, error) {
	settings, err := t.Client(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, &fileError{err}
	}
	if settings.ServerName == "" {
		settings.ServerName = host
	}
	return settings, nil
}

// fileError marks a file of the configuration that cannot be used.
type fileError struct{ err error }

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// mechanism returns the SASL mechanism with the current password, nil for none.
func (d *dialer) mechanism() (sasl.Mechanism, error) {
	s := &d.cfg.SASL
	if s.Mechanism == "" {
		return nil, nil
	}
	if _, err := s.Password.Refresh(); err != nil {
		return nil, &fileError{err}
	}
	switch s.Mechanism {
	case "PLAIN":
		return plain.Mechanism{Username: s.Username, Password: s.Password.Reveal()}, nil
	case "SCRAM-SHA-256":
		return scram.Mechanism(scram.SHA256, s.Username, s.Password.Reveal())
	default:
		return scram.Mechanism(scram.SHA512, s.Username, s.Password.Reveal())
	}
}

// currentMechanism asks for the mechanism at every use, so that a rotated
// password counts for the group's connections too.
type currentMechanism struct{ d *dialer }

func (m currentMechanism) Name() string { return m.d.cfg.SASL.Mechanism }

func (m currentMechanism) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	mechanism, err := m.d.mechanism()
	if err != nil {
		return nil, nil, err
	}
	return mechanism.Start(ctx)
}

// dialerFor returns kafka-go's dialer, which authenticates, over connections
// that open makes.
func (d *dialer) dialerFor(open func(ctx context.Context, network, address string) (net.Conn, error)) *kafkago.Dialer {
	dialer := &kafkago.Dialer{ClientID: clientID, Timeout: d.cfg.DialTimeout, DialFunc: open}
	if d.cfg.SASL.Mechanism != "" {
		dialer.SASLMechanism = currentMechanism{d}
	}
	return dialer
}

// dial opens an authenticated connection for requests of our own.
func (d *dialer) dial(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.DialTimeout)
	defer cancel()
	var raw net.Conn
	stop := func() bool { return true }
	_, err := d.dialerFor(func(inner context.Context, network, address string) (net.Conn, error) {
		conn, err := d.connect(inner, network, address)
		if err == nil {
			raw = conn
			// kafka-go sets no deadline while it authenticates.
			stop = context.AfterFunc(ctx, func() { conn.Close() })
		}
		return conn, err
	}).DialContext(ctx, "tcp", address)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if raw != nil {
			raw.Close()
		}
		return nil, fmt.Errorf("connecting to %s: %w", address, err)
	}
	return raw, nil
}

// group returns the dialer of the consumer group. Its connections are known to
// closeAll.
func (d *dialer) group() *kafkago.Dialer {
	return d.dialerFor(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := d.connect(ctx, network, address)
		if err != nil {
			return nil, err
		}
		tracked := &trackedConn{Conn: conn, d: d}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open[tracked] = struct{}{}
		return tracked, nil
	})
}

// closeAll breaks the connections of the group, so that it ends even when a
// broker does not answer.
func (d *dialer) closeAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.open {
		conn.(*trackedConn).Conn.Close()
	}
}

type trackedConn struct {
	net.Conn
	d *dialer
}

func (c *trackedConn) Close() error {
	c.d.mu.Lock()
	delete(c.d.open, c)
	c.d.mu.Unlock()
	return c.Conn.Close()
}
