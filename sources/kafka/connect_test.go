package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/pipeline/tlsconf"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.key, a.file = key, a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// sign makes a certificate for 127.0.0.1 or another host and returns its files.
func (a *authority) sign(host string, lasts time.Duration) (cert, key string) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lasts),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(host+".pem", "CERTIFICATE", der), a.write(host+".key", "PRIVATE KEY", encoded)
}

func (a *authority) server(host string, lasts time.Duration) *tls.Config {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(a.sign(host, lasts))
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// TestSecureConnections consumes a record over every kind of connection.
func TestSecureConnections(t *testing.T) {
	ca := newAuthority(t, "ca")
	mutual := ca.server("127.0.0.1", time.Hour)
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, ca.pool()
	cert, key := ca.sign("client", time.Hour)
	passwordFile := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(passwordFile, []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile, err := secret.FromFile(passwordFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		broker []kfake.Opt
		admin  []kgo.Opt
		tls    TLS
		sasl   SASL
	}{
		{"TLS", []kfake.Opt{kfake.TLS(ca.server("127.0.0.1", time.Hour))}, []kgo.Opt{kgo.DialTLSConfig(&tls.Config{RootCAs: ca.pool()})},
			TLS{Enabled: true, Config: tlsconf.Config{CAFile: ca.file}}, SASL{}},
		{"mutual TLS", []kfake.Opt{kfake.TLS(mutual)}, []kgo.Opt{kgo.DialTLSConfig(clientTLS(t, ca, cert, key))},
			TLS{Enabled: true, Config: tlsconf.Config{CAFile: ca.file, CertFile: cert, KeyFile: key}}, SASL{}},
		{"PLAIN", []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "gw", "open sesame")}, []kgo.Opt{kgo.SASL(plain.Auth{User: "gw", Pass: "open sesame"}.AsMechanism())},
			TLS{}, SASL{Mechanism: "PLAIN", Username: "gw", Password: secret.New("open sesame")}},
		{"PLAIN over TLS, password from a file", []kfake.Opt{kfake.TLS(ca.server("127.0.0.1", time.Hour)), kfake.EnableSASL(), kfake.Superuser("PLAIN", "gw", "open sesame")},
			[]kgo.Opt{kgo.DialTLSConfig(&tls.Config{RootCAs: ca.pool()}), kgo.SASL(plain.Auth{User: "gw", Pass: "open sesame"}.AsMechanism())},
			TLS{Enabled: true, Config: tlsconf.Config{CAFile: ca.file}}, SASL{Mechanism: "PLAIN", Username: "gw", Password: fromFile}},
		{"SCRAM-SHA-256", []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "gw", "pw"), kfake.Superuser("PLAIN", "admin", "pw")},
			[]kgo.Opt{kgo.SASL(plain.Auth{User: "admin", Pass: "pw"}.AsMechanism())}, TLS{}, SASL{Mechanism: "SCRAM-SHA-256", Username: "gw", Password: secret.New("pw")}},
		{"SCRAM-SHA-512", []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "gw", "pw"), kfake.Superuser("PLAIN", "admin", "pw")},
			[]kgo.Opt{kgo.SASL(plain.Auth{User: "admin", Pass: "pw"}.AsMechanism())}, TLS{}, SASL{Mechanism: "SCRAM-SHA-512", Username: "gw", Password: secret.New("pw")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBroker(t, tc.broker...)
			b.client = b.connect(tc.admin...)
			b.create("t", 1)
			b.produce(b.client, "t", 0, "hello")
			cfg := b.config("g", "t")
			cfg.TLS, cfg.SASL = tc.tls, tc.sasl
			var s seen
			start(t, cfg, Settings{}, &s)
			s.all(t, 1)
		})
	}
}

func clientTLS(t *testing.T, ca *authority, cert, key string) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{pair}}
}

// TestCheckSaysTheCause checks that every way not to connect is told apart,
// with what to do about it, by Check and through Health while Run goes on.
func TestCheckSaysTheCause(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	mutual := ca.server("127.0.0.1", time.Hour)
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, ca.pool()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := free.Addr().String()
	free.Close()
	secured := func(file string) TLS { return TLS{Enabled: true, Config: tlsconf.Config{CAFile: file}} }
	sasl := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "gw", "right")}
	for _, tc := range []struct {
		name   string
		broker []kfake.Opt
		change func(cfg *Config)
		class  fault.Class
		want   []string
	}{
		{"nothing listens", nil, func(cfg *Config) { cfg.Brokers = []string{closed} }, fault.Transient, []string{"connection refused", "nothing listens there"}},
		{"missing topic", nil, func(*Config) {}, fault.Operator, []string{`topics ["t"] do not exist`, "make them"}},
		{"unknown authority", []kfake.Opt{kfake.TLS(ca.server("127.0.0.1", time.Hour))}, func(cfg *Config) { cfg.TLS = secured(other.file) },
			fault.Operator, []string{"certificate signed by unknown authority", "set tls.ca_file"}},
		{"certificate of another host", []kfake.Opt{kfake.TLS(ca.server("kafka.example", time.Hour))}, func(cfg *Config) { cfg.TLS = secured(ca.file) },
			fault.Operator, []string{"tls.server_name"}},
		{"expired certificate", []kfake.Opt{kfake.TLS(ca.server("127.0.0.1", -time.Minute))}, func(cfg *Config) { cfg.TLS = secured(ca.file) },
			fault.Operator, []string{"expired", "renew it"}},
		{"client certificate missing", []kfake.Opt{kfake.TLS(mutual)}, func(cfg *Config) { cfg.TLS = secured(ca.file) },
			fault.Operator, []string{"certificate required", "set tls.cert_file and tls.key_file"}},
		{"TLS where there is none", nil, func(cfg *Config) { cfg.TLS = secured(ca.file) }, fault.Transient, []string{"TLS handshake", "set tls.enabled to false"}},
		{"CA file missing", nil, func(cfg *Config) { cfg.TLS = secured(filepath.Join(ca.dir, "absent.pem")) }, fault.Operator, []string{"reading tls.ca_file", "absent.pem"}},
		{"no TLS where there is", []kfake.Opt{kfake.TLS(ca.server("127.0.0.1", time.Hour))}, func(*Config) {}, fault.Transient, []string{"the broker hung up: it may expect tls"}},
		{"wrong password", sasl, func(cfg *Config) {
			cfg.SASL = SASL{Mechanism: "PLAIN", Username: "gw", Password: secret.New("wrong-canary")}
		},
			fault.Operator, []string{`the broker refused user "gw"`, "sasl.password"}},
		{"no credentials", sasl, func(*Config) {}, fault.Transient, []string{"it may expect tls or sasl settings"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBroker(t, tc.broker...)
			cfg := b.config("g", "t")
			cfg.DialTimeout = time.Second
			tc.change(&cfg)
			reported := make(chan error, 10)
			source, err := New(cfg, Settings{Name: "test", Health: func(err error) {
				select {
				case reported <- err:
				default:
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			verify := func(by string, err error) {
				t.Helper()
				if err == nil {
					t.Fatalf("%s reports nothing", by)
				}
				if got := fault.Of(err).Class; got != tc.class {
					t.Errorf("%s: class %v, want %v", by, got, tc.class)
				}
				for _, want := range tc.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s says %q, which does not say %q", by, err, want)
					}
				}
				if strings.Contains(err.Error(), "canary") {
					t.Errorf("%s tells the password: %v", by, err)
				}
			}
			verify("Check", source.Check(t.Context()))
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- source.Run(ctx, (&seen{}).open) }()
			verify("Health", <-reported)
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}

// TestExplain covers causes that a loopback broker does not produce.
func TestExplain(t *testing.T) {
	cfg := DefaultConfig()
	for _, tc := range []struct {
		err   error
		class fault.Class
		want  string
	}{
		{&net.DNSError{Err: "no such host", Name: "kafka.invalid", IsNotFound: true}, fault.Operator, "no such host: check the host names in brokers"},
		{errExpectsTLS, fault.Operator, "set tls.enabled to true"},
		{kafkago.TopicAuthorizationFailed, fault.Operator, "ACLs Read and Describe"},
		{kafkago.GroupAuthorizationFailed, fault.Operator, `ACL Read on the group "edrwatch"`},
		{kafkago.GroupCoordinatorNotAvailable, fault.Transient, "Coordinator Not Available"},
		{&tlsError{io.EOF}, fault.Operator, "the broker hung up on TLS"},
		{context.DeadlineExceeded, fault.Transient, "check host, port and firewalls"},
	} {
		if f := fault.Of(cfg.explain(fmt.Errorf("connecting: %w", tc.err))); f.Class != tc.class || !strings.Contains(f.Error(), tc.want) {
			t.Errorf("%v is explained as %v: %v", tc.err, f.Class, f)
		}
	}
}

// TestRunWaitsForTheBroker starts the source before its broker.
func TestRunWaitsForTheBroker(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscanf(listener.Addr().String(), "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	listener.Close()
	var s seen
	refused := make(chan error, 10)
	cfg := quick([]string{fmt.Sprintf("127.0.0.1:%d", port)}, "g", "t")
	start(t, cfg, Settings{Health: func(err error) { refused <- err }}, &s)
	if err := <-refused; err == nil {
		t.Error("health is good without a broker")
	}
	b := newBroker(t, kfake.Ports(port))
	b.create("t", 1)
	b.produce(b.admin(), "t", 0, "hello")
	s.all(t, 1)
}

func TestConfigProblems(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(c *Config)
		want   string
	}{
		{"default", func(*Config) {}, ""},
		{"no port", func(c *Config) { c.Brokers = []string{"kafka"} }, `brokers: expected host:port, found "kafka"`},
		{"no topics", func(c *Config) { c.Topics = nil }, "topics: expected topics or topic_pattern, found neither"},
		{"pattern", func(c *Config) { c.TopicPattern = "(" }, "topic_pattern: expected a regular expression"},
		{"start", func(c *Config) { c.Start = "beginning" }, `start: expected earliest or latest, found "beginning"`},
		{"budget", func(c *Config) { c.MaxBatchBytes = 40 << 20 }, "max_batch_bytes: expected at most half of max_in_flight_bytes (64MiB), found 40MiB"},
		{"drain", func(c *Config) { c.DrainTimeout = time.Minute }, "drain_timeout: expected less than rebalance_timeout (30s), found 1m0s"},
		{"tls off", func(c *Config) { c.TLS.CAFile = "ca.pem" }, "tls.enabled: expected true"},
		{"half a pair", func(c *Config) { c.TLS = TLS{Enabled: true, Config: tlsconf.Config{CertFile: "c.pem"}} }, "cert_file and key_file"},
		{"mechanism", func(c *Config) { c.SASL.Mechanism = "GSSAPI" }, `sasl.mechanism: expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, found "GSSAPI"`},
		{"user without mechanism", func(c *Config) { c.SASL.Username = "gw" }, "sasl.mechanism: expected"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := DefaultConfig()
			tc.change(&cfg)
			_, err := New(cfg, Settings{Name: "test"})
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
