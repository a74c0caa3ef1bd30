//go:build integration && unix

package testbed_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/edrwatch/edrwatch/deploy/testbed"
)

func TestKafkaKeepsRecordsThroughRestart(t *testing.T) {
	server := testbed.Kafka(t)
	server.CreateTopic(t, "records", 4)
	produce(t, server.Brokers(), nil, "records", 0, 1000)
	first := consume(t, server.Brokers(), "group", "records", 600)

	server.Kill(t)
	server.Restart(t)

	rest := consume(t, server.Brokers(), "group", "records", 400)
	for key := range rest {
		if first[key] {
			t.Errorf("record %s came again although its offset was committed", key)
		}
	}
}

func TestKafkaSurvivesTheLossOfOneOfThreeNodes(t *testing.T) {
	server := testbed.Kafka(t, testbed.Nodes(3))
	server.CreateTopic(t, "records", 6)
	produce(t, server.Brokers(), nil, "records", 0, 500)
	server.Kill(t, 0)
	produce(t, server.Brokers(), nil, "records", 500, 500)
	consume(t, server.Brokers(), "group", "records", 1000)
	server.Restart(t, 0)
	produce(t, server.Brokers()[:1], nil, "records", 1000, 10)
}

func TestKafkaSecurity(t *testing.T) {
	server := testbed.Kafka(t, testbed.Secure())
	server.CreateTopic(t, "records", 1)
	security := server.Security()
	authority := x509.NewCertPool()
	pem, err := os.ReadFile(security.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	authority.AppendCertsFromPEM(pem)
	client, err := tls.LoadX509KeyPair(security.ClientCertFile, security.ClientKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	withTLS := &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS12}
	withClient := &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{client}}
	scram256 := mechanism(t, scram.SHA256, security.User, security.Password)
	scram512 := mechanism(t, scram.SHA512, security.User, security.Password)
	goodPlain := plain.Mechanism{Username: security.User, Password: security.Password}

	for _, test := range []struct {
		name      string
		brokers   []string
		transport *kafka.Transport
		refused   bool
	}{
		{"PLAIN", security.SASL, &kafka.Transport{SASL: goodPlain}, false},
		{"SCRAM-SHA-256", security.SASL, &kafka.Transport{SASL: scram256}, false},
		{"SCRAM-SHA-512", security.SASL, &kafka.Transport{SASL: scram512}, false},
		{"PLAIN over TLS", security.SASLTLS, &kafka.Transport{SASL: goodPlain, TLS: withTLS}, false},
		{"SCRAM-SHA-512 over TLS", security.SASLTLS, &kafka.Transport{SASL: scram512, TLS: withTLS}, false},
		{"client certificate", security.MTLS, &kafka.Transport{TLS: withClient}, false},

		{"PLAIN, wrong password", security.SASL, &kafka.Transport{SASL: plain.Mechanism{Username: security.User, Password: "wrong"}}, true},
		{"SCRAM-SHA-512, wrong password", security.SASL, &kafka.Transport{SASL: mechanism(t, scram.SHA512, security.User, "wrong")}, true},
		{"no SASL", security.SASL, &kafka.Transport{}, true},
		{"unknown authority", security.SASLTLS, &kafka.Transport{SASL: goodPlain, TLS: &tls.Config{MinVersion: tls.VersionTLS12}}, true},
		{"no client certificate", security.MTLS, &kafka.Transport{TLS: withTLS}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := write(t.Context(), test.brokers, test.transport, "records", 0, 1)
			if refused := err != nil; refused != test.refused {
				t.Errorf("refused: %t (%v), expected %t", refused, err, test.refused)
			}
		})
	}
}

func mechanism(t *testing.T, algorithm scram.Algorithm, user, password string) sasl.Mechanism {
	t.Helper()
	m, err := scram.Mechanism(algorithm, user, password)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func produce(t *testing.T, brokers []string, transport *kafka.Transport, topic string, first, n int) {
	t.Helper()
	if err := write(t.Context(), brokers, transport, topic, first, n); err != nil {
		t.Fatalf("producing: %v", err)
	}
}

func write(ctx context.Context, brokers []string, transport *kafka.Transport, topic string, first, n int) error {
	if transport == nil {
		transport = &kafka.Transport{}
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	w := &kafka.Writer{
		Addr: kafka.TCP(brokers...), Topic: topic, Transport: transport,
		RequiredAcks: kafka.RequireAll, BatchTimeout: 10 * time.Millisecond, MaxAttempts: 3,
	}
	if n > 1 {
		w.MaxAttempts = 100 // A new leader takes its time when a broker has been killed.
	}
	var messages []kafka.Message
	for i := range n {
		key := fmt.Sprint(first + i)
		messages = append(messages, kafka.Message{Key: []byte(key), Value: []byte(key)})
	}
	return errors.Join(w.WriteMessages(ctx, messages...), w.Close())
}

// consume reads n different records as a member of a group and commits them.
func consume(t *testing.T, brokers []string, group, topic string, n int) map[string]bool {
	t.Helper()
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: brokers, GroupID: group, Topic: topic,
		StartOffset: kafka.FirstOffset, JoinGroupBackoff: 200 * time.Millisecond, MaxWait: 200 * time.Millisecond,
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen := map[string]bool{}
	var fetched []kafka.Message
	for len(seen) < n {
		m, err := r.FetchMessage(ctx)
		if ctx.Err() != nil {
			t.Fatalf("consuming: %d of %d records: %v", len(seen), n, err)
		}
		if err != nil {
			continue // The reader goes on by itself after errors of the group.
		}
		seen[string(m.Key)] = true
		fetched = append(fetched, m)
	}
	if err := r.CommitMessages(ctx, fetched...); err != nil {
		t.Fatalf("committing: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatalf("closing reader: %v", err)
	}
	return seen
}
