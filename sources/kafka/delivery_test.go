package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/sources/internal/streamid"
)

func codecs() map[string]kgo.CompressionCodec {
	return map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
}

func TestRecordsArriveWhole(t *testing.T) {
	b := newBroker(t, kfake.ClusterID("lab"))
	b.create("whole", 1)
	at := time.UnixMilli(1721362140123)
	if err := b.admin().ProduceSync(t.Context(),
		&kgo.Record{Topic: "whole", Key: []byte("agent-1"), Value: []byte(`{"a":1}`), Timestamp: at,
			Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "h", Value: []byte("2")}}},
		&kgo.Record{Topic: "whole", Key: []byte("agent-2"), Timestamp: at.Add(time.Second)},
		&kgo.Record{Topic: "whole", Value: []byte{}, Timestamp: at.Add(-time.Hour)},
	).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var s seen
	cfg := b.config("g", "whole")
	cfg.Epoch = 2
	start(t, cfg, Settings{}, &s)
	got := s.all(t, 3)
	if want := (event.Partition{Prefix: streamid.Topic("lab", "whole", 2), Topic: "whole"}); s.parts[0] != want {
		t.Errorf("partition %v, want %v", s.parts[0], want)
	}
	first := got[0]
	if string(first.Key) != "agent-1" || string(first.Value) != `{"a":1}` || first.Time != at.UnixMilli() || first.Offset != 0 {
		t.Errorf("first record %+v", first)
	}
	if len(first.Headers) != 2 || first.Headers[0].Key != "h" || string(first.Headers[1].Value) != "2" {
		t.Errorf("headers %v", first.Headers)
	}
	if got[1].Value != nil || string(got[1].Key) != "agent-2" {
		t.Errorf("a tombstone came as %+v", got[1])
	}
	if got[2].Value == nil || got[2].Key != nil || got[2].Time != at.Add(-time.Hour).UnixMilli() || got[2].Offset != 2 {
		t.Errorf("an empty value without key came as %+v", got[2])
	}
}

func TestCodecs(t *testing.T) {
	for name, codec := range codecs() {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			b.create("codec", 1)
			want := values(strings.Repeat("value", 50), 3000)
			b.produce(b.connect(kgo.ProducerBatchCompression(codec)), "codec", 0, want...)
			var s seen
			cfg := b.config("g", "codec")
			cfg.BatchRecords = 64 // several batches out of one payload
			start(t, cfg, Settings{}, &s)
			for i, r := range s.all(t, len(want)) {
				if string(r.Value) != want[i] || r.Fault != nil || r.Offset != int64(i) {
					t.Fatalf("record %d is %q at %d, fault %v", i, r.Value, r.Offset, r.Fault)
				}
			}
		})
	}
}

// TestBombs sends batches that decompress to far more than max_batch_bytes.
func TestBombs(t *testing.T) {
	for name, codec := range codecs() {
		if name == "none" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			b.create("bomb", 1)
			client := b.connect(kgo.ProducerBatchCompression(codec), kgo.ProducerBatchMaxBytes(64<<20), kgo.BrokerMaxWriteBytes(100<<20))
			b.produce(client, "bomb", 0, "before")
			b.produce(client, "bomb", 0, strings.Repeat("\x00", 12<<20))
			b.produce(client, "bomb", 0, "after")
			var s seen
			cfg := b.config("g", "bomb")
			cfg.MaxBatchBytes, cfg.MaxInFlightBytes = 1<<20, 16<<20
			start(t, cfg, Settings{}, &s)
			got := s.all(t, 3)
			if string(got[0].Value) != "before" || string(got[2].Value) != "after" {
				t.Errorf("records around the bomb are %q and %q", got[0].Value, got[2].Value)
			}
			f := fault.Of(got[1].Fault)
			if f == nil || f.Reason != fault.Undecodable || f.Class != fault.Permanent || got[1].Offset != 1 ||
				!strings.Contains(f.Error(), "topic bomb partition 0, offsets 1 to 1: expected records of at most 1MiB") || !strings.Contains(f.Error(), name) {
				t.Errorf("the bomb came as offset %d, fault %v", got[1].Offset, got[1].Fault)
			}
			if len(got[1].Value) == 0 {
				t.Error("the batch was not kept for the dead letter")
			}
			eventually(t, func() bool { return b.committed("g", "bomb", 0) == 3 }, func() string { return "the partition does not advance" })
		})
	}
}

func TestTransactions(t *testing.T) {
	b := newBroker(t)
	b.create("tx", 1)
	client := b.connect(kgo.TransactionalID("tx"))
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		b.produce(client, "tx", 0, values(fmt.Sprint("tx", i), 10)...)
		if err := client.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	for isolation, want := range map[string][]string{
		"read_committed":   append(values("tx0", 10), values("tx2", 10)...),
		"read_uncommitted": append(append(values("tx0", 10), values("tx1", 10)...), values("tx2", 10)...),
	} {
		t.Run(isolation, func(t *testing.T) {
			var s seen
			cfg := b.config(isolation, "tx")
			cfg.Isolation = isolation
			start(t, cfg, Settings{}, &s)
			// 33 offsets: the transaction markers have one each.
			eventually(t, func() bool { return b.committed(isolation, "tx", 0) == 33 }, func() string { return "the end is not committed" })
			for i, r := range s.all(t, len(want)) {
				if i >= len(want) || string(r.Value) != want[i] {
					t.Fatalf("record %d is %q", i, r.Value)
				}
			}
			if n := s.len(); n != len(want) {
				t.Errorf("%d records, want %d", n, len(want))
			}
		})
	}
}

// TestMemoryIsBounded blocks the workers and looks at what the source holds.
func TestMemoryIsBounded(t *testing.T) {
	b := newBroker(t)
	b.create("big", 4)
	noise := make([]byte, 20_000)
	rng := rand.NewChaCha8([32]byte{})
	for p := range int32(4) {
		for range 150 {
			_, _ = rng.Read(noise)
			b.produce(b.admin(), "big", p, string(noise))
		}
	}
	var s seen
	release := make(chan struct{})
	s.handle = func(ctx context.Context, _ *event.Batch) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	cfg := b.config("g", "big")
	cfg.FetchMaxBytes, cfg.BatchBytes, cfg.MaxBatchBytes, cfg.MaxInFlightBytes = 300_000, 200_000, 500_000, 1_000_000
	registry := prometheus.NewPedanticRegistry()
	start(t, cfg, Settings{Metrics: registry}, &s)
	held := func() float64 { return metric(t, registry, "edrwatch_kafka_in_flight_bytes", "kind", "fetched") }
	eventually(t, func() bool { return held() > 200_000 }, func() string { return fmt.Sprint("held ", held()) })
	for range 50 {
		if n := held(); n > 500_000 {
			t.Fatalf("%v bytes held with half a budget of 1 MB", n)
		}
	}
	close(release)
	s.all(t, 600)
	eventually(t, func() bool { return held() == 0 }, func() string { return fmt.Sprint("held ", held()) })
}

func TestBatchLargerThanTheBudgetIsSkippedWithItsRange(t *testing.T) {
	b := newBroker(t)
	b.create("huge", 1)
	client := b.connect(kgo.ProducerBatchCompression(kgo.NoCompression()))
	b.produce(client, "huge", 0, "before")
	b.produce(client, "huge", 0, strings.Repeat("x", 900_000), "same batch")
	b.produce(client, "huge", 0, "after")
	var s seen
	cfg := b.config("g", "huge")
	for _, limit := range []*strict.Bytes{&cfg.FetchMaxBytes, &cfg.BatchBytes, &cfg.MaxBatchBytes} {
		*limit = 100_000
	}
	cfg.MaxInFlightBytes = 400_000
	start(t, cfg, Settings{}, &s)
	got := s.all(t, 3)
	f := fault.Of(got[1].Fault)
	if string(got[0].Value) != "before" || string(got[2].Value) != "after" || f == nil || f.Reason != fault.TooLarge ||
		!strings.Contains(f.Error(), "offsets 1 to 2: expected a record batch of at most 200000 bytes") {
		t.Errorf("got %q, %v, %q", got[0].Value, got[1].Fault, got[2].Value)
	}
}

// metric returns the value of a metric that has the label, or of the only one.
func metric(t testing.TB, g prometheus.Gatherer, name, label, value string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if label == "" || l.GetName() == label && l.GetValue() == value {
					return m.GetGauge().GetValue() + m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}

func TestWorkerErrorEndsRunWithIt(t *testing.T) {
	b := newBroker(t)
	b.create("t", 1)
	b.produce(b.admin(), "t", 0, "x")
	broken := errors.New("broken")
	s := seen{handle: func(context.Context, *event.Batch) error { return broken }}
	source, err := New(b.config("g", "t"), Settings{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Run(t.Context(), s.open); !errors.Is(err, broken) || s.closed != 1 {
		t.Errorf("Run returned %v with %d workers closed", err, s.closed)
	}
}
