package kafka

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/kafkaconn"
	"github.com/edrwatch/edrwatch/sinks/sinktest"
)

var (
	_ pipeline.Sink       = (*Sink)(nil)
	_ pipeline.DeadLetter = (*DeadLetter)(nil)
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker starts an in-process broker with one topic and returns a
// configuration for it.
func broker(t *testing.T, options ...kfake.Opt) Config {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, "out"), kfake.SeedTopics(1, "one")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	cfg := DefaultConfig()
	cfg.Brokers = cluster.ListenAddrs()
	cfg.Topic = "out"
	cfg.Timeout = 5 * time.Second
	return cfg
}

func settings() Settings { return Settings{Name: "kafka", Logger: slog.New(slog.DiscardHandler)} }

// messages reads everything that a topic holds.
func messages(t *testing.T, cfg Config) []kafkago.Message {
	t.Helper()
	transport := &kafkago.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafkago.Client{Addr: kafkago.TCP(cfg.Brokers...), Transport: transport, Timeout: cfg.Timeout}
	var all []kafkago.Message
	for partition := range 3 {
		if cfg.Topic == "one" && partition > 0 {
			break
		}
		listed, err := client.ListOffsets(t.Context(), &kafkago.ListOffsetsRequest{
			Topics: map[string][]kafkago.OffsetRequest{cfg.Topic: {kafkago.LastOffsetOf(partition)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		last := listed.Topics[cfg.Topic][0].LastOffset
		conn, err := kafkago.DialLeader(t.Context(), "tcp", cfg.Brokers[0], cfg.Topic, partition)
		if err != nil {
			t.Fatal(err)
		}
		for next := int64(0); next < last; {
			batch := conn.ReadBatchWith(kafkago.ReadBatchConfig{MinBytes: 1, MaxBytes: 10 << 20, MaxWait: time.Second})
			for next < last {
				m, err := batch.ReadMessage()
				if err != nil {
					break
				}
				all = append(all, m)
				next = m.Offset + 1
			}
			_ = batch.Close()
		}
		_ = conn.Close()
	}
	return all
}

func header(m *kafkago.Message, name string) string {
	for _, h := range m.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// topic is the topic as a destination.
type topic struct {
	t   *testing.T
	cfg Config
}

func (topic) Follow(sinktest.Plan) {}

func (d topic) Contents() []sinktest.Stored {
	var stored []sinktest.Stored
	for _, m := range messages(d.t, d.cfg) {
		stored = append(stored, sinktest.Stored{ID: header(&m, "event.id"), Body: m.Value})
	}
	return stored
}

func open(t *testing.T, cfg Config) *Sink {
	t.Helper()
	s, err := New(cfg, settings())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openDeadLetter(t *testing.T, cfg Config) *DeadLetter {
	t.Helper()
	d, err := NewDeadLetter(cfg, settings())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestContract(t *testing.T) {
	for _, compression := range []string{"none", "zstd"} {
		t.Run(compression, func(t *testing.T) {
			sinktest.Run(t, sinktest.Traits{}, func(t *testing.T) (sinktest.Sink, sinktest.Destination) {
				cfg := broker(t)
				cfg.Compression = compression
				return open(t, cfg), topic{t, cfg}
			})
		})
	}
}

func TestDocumentsOfAnAgentStayInOrder(t *testing.T) {
	cfg := broker(t)
	docs := sinktest.Documents("doc", 200, 10)
	if err := open(t, cfg).Write(t.Context(), docs, make([]event.Result, len(docs))); err != nil {
		t.Fatal(err)
	}
	place := map[string]int{}
	for i, d := range docs {
		place[d.ID] = i
	}
	partition, last := map[string]int{}, map[string]int{}
	for _, m := range messages(t, cfg) {
		agent, at := string(m.Key), place[header(&m, "event.id")]
		if p, seen := partition[agent]; seen && (p != m.Partition || at <= last[agent]) {
			t.Errorf("documents of %s are in partitions %d and %d, or out of order", agent, p, m.Partition)
		}
		partition[agent], last[agent] = m.Partition, at
		if header(&m, "stream") != docs[at].Stream.String() {
			t.Errorf("document %d has stream %q", at, header(&m, "stream"))
		}
	}
}

func TestTooLargeDocumentIsRefusedAlone(t *testing.T) {
	cfg := broker(t)
	cfg.MaxMessageBytes = 20_000
	docs := sinktest.Documents("doc", 5, 100)
	docs[2] = sinktest.Documents("large", 1, 30_000)[0]
	results := make([]event.Result, 5)
	if err := open(t, cfg).Write(t.Context(), docs, results); err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if (r.Outcome == event.Refused) != (i == 2) {
			t.Errorf("document %d is %v (%v)", i, r.Outcome, r.Err)
		}
	}
	if f := fault.Of(results[2].Err); f.Reason != fault.TooLarge || f.Class != fault.Permanent {
		t.Errorf("the large document: %v", results[2].Err)
	}
}

func TestMissingTopicAndBroker(t *testing.T) {
	cfg := broker(t)
	cfg.Topic = "absent"
	s := open(t, cfg)
	results := make([]event.Result, 2)
	for what, err := range map[string]error{
		"Write": s.Write(t.Context(), sinktest.Documents("doc", 2, 0), results),
		"Check": s.Check(t.Context()),
		"Bury":  openDeadLetter(t, cfg).Bury(t.Context(), []event.Dead{{Original: []byte("x")}}),
	} {
		if f := fault.Of(err); f == nil || f.Class != fault.Operator || !strings.Contains(f.Hint, "create the topic") {
			t.Errorf("%s to a missing topic: %v, want an operator's fault", what, err)
		}
	}
	if results[0].Outcome != event.Pending {
		t.Errorf("a document for a missing topic is %v, want pending", results[0].Outcome)
	}
	cfg.Brokers = []string{"127.0.0.1:1"}
	if f := fault.Of(open(t, cfg).Write(t.Context(), sinktest.Documents("doc", 2, 0), results)); f == nil || f.Class != fault.Transient {
		t.Errorf("writing without a broker: %v, want transient", f)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	cfg := broker(t)
	cfg.Brokers = []string{"192.0.2.1:9092"} // never answers (RFC 5737)
	started := time.Now()
	if err := open(t, cfg).Write(ctx, sinktest.Documents("doc", 2, 0), make([]event.Result, 2)); err == nil {
		t.Error("a cancelled write returned nil")
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("a cancelled write took %v", took)
	}
}

func TestDeadLetter(t *testing.T) {
	cfg := broker(t)
	d := openDeadLetter(t, cfg)
	original := []byte{0xff, '{', 0}
	dead := event.Dead{
		Partition: event.Partition{Topic: "edr.windows", Number: 7}, Offset: 41, Time: 1721361600123,
		Key: []byte("host-1"), Original: original, Stage: "mapping", Reason: "unparsable", Detail: strings.Repeat("é", 3000),
		Headers: []event.Header{{Key: "trace", Value: []byte("t1")}, {Key: HeaderPrefix + "reason", Value: []byte("earlier")}},
	}
	if err := d.Bury(t.Context(), []event.Dead{dead}); err != nil {
		t.Fatal(err)
	}
	if err := d.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	got := messages(t, cfg)
	if len(got) != 1 || string(got[0].Key) != "host-1" || !bytes.Equal(got[0].Value, original) {
		t.Fatalf("the topic holds %v", got)
	}
	for name, want := range map[string]string{
		"trace": "t1", HeaderPrefix + "topic": "edr.windows", HeaderPrefix + "partition": "7", HeaderPrefix + "offset": "41",
		HeaderPrefix + "timestamp": "1721361600123", HeaderPrefix + "stage": "mapping", HeaderPrefix + "reason": "unparsable",
		HeaderPrefix + "truncated": "",
	} {
		if value := header(&got[0], name); value != want {
			t.Errorf("header %s = %q, want %q", name, value, want)
		}
	}
	if detail := header(&got[0], HeaderPrefix+"detail"); len(detail) > detailBytes || strings.Trim(detail, "é") != "" {
		t.Errorf("detail has %d bytes and ends in %q", len(detail), detail[len(detail)-4:])
	}
}

// TestTooLargeDeadLetter: whether our own limit or the topic's is the lower
// one, a stub is kept, beside the other letters.
func TestTooLargeDeadLetter(t *testing.T) {
	original := bytes.Repeat([]byte("0123456789abcdef"), 8<<10) // 128 KiB
	sum := sha256.Sum256(original)
	for name, open := range map[string]func(*testing.T) Config{
		"our limit": func(t *testing.T) Config {
			cfg := broker(t)
			cfg.MaxMessageBytes = 64 << 10
			return cfg
		},
		"the topic's limit": func(t *testing.T) Config {
			cfg := broker(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "65536"}))
			cfg.Compression = "none"
			return cfg
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := open(t)
			cfg.Topic = "one"
			letters := []event.Dead{
				{Offset: 1, Original: []byte("small")},
				{Offset: 2, Original: original, Key: bytes.Repeat([]byte("k"), 5000), Reason: "too_large"},
				{Offset: 3, Original: []byte("small too")},
			}
			if err := openDeadLetter(t, cfg).Bury(t.Context(), letters); err != nil {
				t.Fatal(err)
			}
			byOffset := map[string]kafkago.Message{}
			for _, m := range messages(t, cfg) {
				byOffset[header(&m, HeaderPrefix+"offset")] = m
			}
			if string(byOffset["1"].Value) != "small" || string(byOffset["3"].Value) != "small too" {
				t.Errorf("the small letters are %q and %q", byOffset["1"].Value, byOffset["3"].Value)
			}
			stub := byOffset["2"]
			if !bytes.Equal(stub.Value, original[:stubBytes]) || header(&stub, HeaderPrefix+"sha256") != hex.EncodeToString(sum[:]) ||
				header(&stub, HeaderPrefix+"truncated") != "131072" || header(&stub, HeaderPrefix+"reason") != "too_large" {
				t.Errorf("the stub has %d bytes and headers %v", len(stub.Value), stub.Headers)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"default":     {func(*Config) {}, ""},
		"no topic":    {func(c *Config) { c.Topic = "" }, "topic: expected"},
		"small":       {func(c *Config) { c.MaxMessageBytes = 100 }, "max_message_bytes: expected at least"},
		"compression": {func(c *Config) { c.Compression = "brotli" }, `found "brotli"`},
		"connection":  {func(c *Config) { c.Config = kafkaconn.Config{} }, "brokers"},
	} {
		cfg := DefaultConfig()
		test.change(&cfg)
		err := cfg.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
