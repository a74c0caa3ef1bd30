//go:build integration

package kafka

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/deploy/testbed"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/kafkaconn"
	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/pipeline/tlsconf"
	"github.com/edrwatch/edrwatch/sinks/sinktest"
)

// TestRealKafka writes through every kind of listener, and meets a topic that
// takes less than the configuration says.
func TestRealKafka(t *testing.T) {
	server := testbed.Kafka(t, testbed.Secure())
	security := server.Security()
	server.CreateTopic(t, "out", 3)
	server.CreateTopic(t, "one", 1, "max.message.bytes", "65536")
	verified := kafkaconn.TLS{Enabled: true, Config: tlsconf.Config{CAFile: security.CAFile}}
	mutual := verified
	mutual.CertFile, mutual.KeyFile = security.ClientCertFile, security.ClientKeyFile
	user := func(mechanism, password string) kafkaconn.SASL {
		return kafkaconn.SASL{Mechanism: mechanism, Username: security.User, Password: secret.New(password)}
	}
	config := func(brokers []string, tls kafkaconn.TLS, sasl kafkaconn.SASL) Config {
		cfg := DefaultConfig()
		cfg.Brokers, cfg.TLS, cfg.SASL, cfg.Topic, cfg.Timeout = brokers, tls, sasl, "out", 15*time.Second
		return cfg
	}
	plain := config(server.Brokers(), kafkaconn.TLS{}, kafkaconn.SASL{})
	written := 0
	for name, cfg := range map[string]Config{
		"plain text":         plain,
		"SCRAM-SHA-256":      config(security.SASL, kafkaconn.TLS{}, user(kafkaconn.ScramSHA256, security.Password)),
		"PLAIN over TLS":     config(security.SASLTLS, verified, user(kafkaconn.Plain, security.Password)),
		"SCRAM-512 over TLS": config(security.SASLTLS, verified, user(kafkaconn.ScramSHA512, security.Password)),
		"mutual TLS":         config(security.MTLS, mutual, kafkaconn.SASL{}),
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, cfg)
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
			const n = 2000
			if err := s.Write(t.Context(), sinktest.Documents(name, n, 500), make([]event.Result, n)); err != nil {
				t.Fatal(err)
			}
			written += n
		})
	}
	if got := len(messages(t, plain)); got != written {
		t.Errorf("the topic holds %d messages, want %d", got, written)
	}
	for name, test := range map[string]struct {
		cfg   Config
		class fault.Class
		want  string
	}{
		"wrong password":    {config(security.SASLTLS, verified, user(kafkaconn.ScramSHA512, "canary")), fault.Operator, "sasl.password"},
		"unknown authority": {config(security.SASLTLS, kafkaconn.TLS{Enabled: true}, user(kafkaconn.Plain, security.Password)), fault.Operator, "ca_file"},
		"TLS where none is": {config(server.Brokers(), verified, kafkaconn.SASL{}), fault.Transient, "tls.enabled"},
		"missing topic":     {func() Config { c := plain; c.Topic = "absent"; return c }(), fault.Operator, "create the topic"},
		"not an authority":  {config(security.SASLTLS, kafkaconn.TLS{Enabled: true, Config: tlsconf.Config{CAFile: security.ClientCertFile}}, user(kafkaconn.Plain, security.Password)), fault.Operator, "ca_file"},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDeadLetter(t, test.cfg)
			for what, err := range map[string]error{"Check": d.Check(t.Context()), "Bury": d.Bury(t.Context(), []event.Dead{{Original: []byte("x")}})} {
				if f := fault.Of(err); f == nil || f.Class != test.class || !strings.Contains(f.Error(), test.want) || strings.Contains(f.Error(), "canary") {
					t.Errorf("%s: %v (%v), want %v that says %q", what, err, f, test.class, test.want)
				}
			}
		})
	}
	t.Run("dead letters above the topic's limit", func(t *testing.T) {
		cfg := plain
		cfg.Topic, cfg.Compression = "one", "none"
		random, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			t.Fatal(err)
		}
		letters := []event.Dead{{Offset: 1, Original: []byte("small")}, {Offset: 2, Original: random[:200_000]}, {Offset: 3, Original: bytes.Repeat([]byte("y"), 5_000_000)}}
		if err := openDeadLetter(t, cfg).Bury(t.Context(), letters); err != nil {
			t.Fatal(err)
		}
		sizes := map[string]int{}
		for _, m := range messages(t, cfg) {
			sizes[header(&m, HeaderPrefix+"offset")] = len(m.Value)
		}
		if sizes["1"] != 5 || sizes["2"] != stubBytes || sizes["3"] != stubBytes {
			t.Errorf("the topic holds letters of %v bytes", sizes)
		}
	})
}
