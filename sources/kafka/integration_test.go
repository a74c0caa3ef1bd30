//go:build integration

package kafka

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/edrwatch/edrwatch/deploy/testbed"
	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/pipeline/tlsconf"
	"github.com/edrwatch/edrwatch/sources/sourcetest"
)

// realBroker is a real Kafka with the same means to prepare and inspect as the fake.
func realBroker(t testing.TB, server *testbed.KafkaServer, opts ...kgo.Opt) *broker {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(server.Brokers()...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &broker{t: t, client: client}
}

// patient is the quick configuration with the session that a real broker wants.
func patient(brokers []string, group string, topics ...string) Config {
	cfg := quick(brokers, group, topics...)
	cfg.SessionTimeout, cfg.RebalanceTimeout = 6*time.Second, 6*time.Second
	return cfg
}

// TestRealKafka runs what depends on the broker against a real one.
func TestRealKafka(t *testing.T) {
	server := testbed.Kafka(t)
	t.Run("contract", func(t *testing.T) {
		topics := 0
		sourcetest.Run(t, func(t *testing.T, in sourcetest.Input) func() sourcetest.Source {
			b := realBroker(t, server)
			topics++
			topic := fmt.Sprint("contract-", topics)
			server.CreateTopic(t, topic, len(in))
			for p := range in {
				b.produce(b.client, topic, int32(p), in[p]...)
			}
			cfg := patient(server.Brokers(), topic, topic)
			cfg.BatchRecords = 7
			return func() sourcetest.Source {
				source, err := New(cfg, Settings{Name: "contract"})
				if err != nil {
					t.Fatal(err)
				}
				return source
			}
		})
	})
	t.Run("codecs and a restart", func(t *testing.T) {
		server.CreateTopic(t, "codecs", 1)
		var want []string
		for name, codec := range codecs() {
			b := realBroker(t, server, kgo.ProducerBatchCompression(codec))
			some := values(name+strings.Repeat("-", 300), 4000)
			b.produce(b.client, "codecs", 0, some...)
			want = append(want, some...)
		}
		b := realBroker(t, server)
		var one, two seen
		stop := start(t, patient(server.Brokers(), "codecs", "codecs"), Settings{}, &one)
		for i, r := range one.all(t, len(want)) {
			if string(r.Value) != want[i] {
				t.Fatalf("record %d is %q", i, r.Value)
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got := b.committed("codecs", "codecs", 0); got != int64(len(want)) {
			t.Errorf("%d committed, want %d", got, len(want))
		}
		start(t, patient(server.Brokers(), "codecs", "codecs"), Settings{Horizon: func() time.Duration { return time.Hour }}, &two)
		b.produce(b.client, "codecs", 0, "new")
		if got := two.all(t, 1); string(got[0].Value) != "new" || len(two.again) != len(want) {
			t.Errorf("after the restart %q is new and %d records were read again, want %d", got[0].Value, len(two.again), len(want))
		}
	})
	t.Run("transactions", func(t *testing.T) {
		server.CreateTopic(t, "tx", 1)
		b := realBroker(t, server, kgo.TransactionalID("tx"))
		for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
			if err := b.client.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			b.produce(b.client, "tx", 0, values(fmt.Sprint("tx", i), 10)...)
			if err := b.client.EndTransaction(t.Context(), end); err != nil {
				t.Fatal(err)
			}
		}
		admin := realBroker(t, server)
		var s seen
		start(t, patient(server.Brokers(), "tx", "tx"), Settings{}, &s)
		want := append(values("tx0", 10), values("tx2", 10)...)
		eventually(t, func() bool { return admin.committed("tx", "tx", 0) == 33 }, func() string { return "the end is not committed" })
		for i, r := range s.all(t, len(want)) {
			if string(r.Value) != want[i] {
				t.Fatalf("record %d is %q", i, r.Value)
			}
		}
	})
	t.Run("a broker that restarts", func(t *testing.T) {
		server.CreateTopic(t, "restart", 2)
		b := realBroker(t, server)
		b.produce(b.client, "restart", 0, values("before", 100)...)
		var s seen
		start(t, patient(server.Brokers(), "restart", "restart"), Settings{}, &s)
		s.all(t, 100)
		server.Kill(t, 0)
		server.Restart(t, 0)
		b.produce(b.client, "restart", 1, values("after", 100)...)
		eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.fresh) == 200 }, func() string { return fmt.Sprint(len(s.fresh)) })
	})
}

func TestRealSecurity(t *testing.T) {
	server := testbed.Kafka(t, testbed.Secure())
	security := server.Security()
	server.CreateTopic(t, "secure", 1)
	b := realBroker(t, server)
	b.produce(b.client, "secure", 0, "hello")
	verified := TLS{Enabled: true, Config: tlsconf.Config{CAFile: security.CAFile}}
	user := func(mechanism string) SASL {
		return SASL{Mechanism: mechanism, Username: security.User, Password: secret.New(security.Password)}
	}
	for _, tc := range []struct {
		name    string
		brokers []string
		tls     TLS
		sasl    SASL
	}{
		{"SCRAM-SHA-256", security.SASL, TLS{}, user("SCRAM-SHA-256")},
		{"PLAIN over TLS", security.SASLTLS, verified, user("PLAIN")},
		{"SCRAM-SHA-512 over TLS", security.SASLTLS, verified, user("SCRAM-SHA-512")},
		{"mutual TLS", security.MTLS, TLS{Enabled: true, Config: tlsconf.Config{CAFile: security.CAFile, CertFile: security.ClientCertFile, KeyFile: security.ClientKeyFile}}, SASL{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := patient(tc.brokers, tc.name, "secure")
			cfg.TLS, cfg.SASL = tc.tls, tc.sasl
			var s seen
			start(t, cfg, Settings{}, &s)
			s.all(t, 1)
		})
	}
	for _, tc := range []struct {
		name    string
		brokers []string
		tls     TLS
		sasl    SASL
		want    string
	}{
		{"wrong password", security.SASLTLS, verified, SASL{Mechanism: "SCRAM-SHA-512", Username: security.User, Password: secret.New("wrong")}, "the broker refused user"},
		{"no TLS where there is", security.MTLS, TLS{}, SASL{}, "tls"},
		{"TLS where there is none", server.Brokers(), verified, SASL{}, "tls.enabled to false"},
		{"no client certificate", security.MTLS, verified, SASL{}, "set tls.cert_file"},
		{"no credentials", security.SASL, TLS{}, SASL{}, "it may expect tls or sasl"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := patient(tc.brokers, tc.name, "secure")
			cfg.TLS, cfg.SASL = tc.tls, tc.sasl
			source, err := New(cfg, Settings{Name: "test"})
			if err != nil {
				t.Fatal(err)
			}
			if err := source.Check(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Check says %v, want %q", err, tc.want)
			}
		})
	}
}
