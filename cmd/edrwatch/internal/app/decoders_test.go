package app

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/avro"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/pipeline/decode/registry/registrytest"
	"github.com/edrwatch/edrwatch/sinks/store"
)

// syncBuffer is a buffer that a logger writes while a test reads.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestAvroWaitsForItsRegistry runs a gateway whose schema registry is down when
// records come: the gateway is not ready and says why, nothing is buried, and once
// the registry answers all records are there, those with an unknown schema in the
// dead letter.
func TestAvroWaitsForItsRegistry(t *testing.T) {
	const schemaText = `{"type":"record","name":"Beat","fields":[{"name":"event_simpleName","type":"string"},{"name":"aid","type":"string"},{"name":"timestamp","type":"string"},{"name":"event_platform","type":"string"}]}`
	schema, err := avro.Parse(schemaText)
	if err != nil {
		t.Fatal(err)
	}
	beat, err := schema.Encode(map[string]any{"event_simpleName": "SensorHeartbeat", "aid": "a1", "timestamp": "1784434147123", "event_platform": "Win"})
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	_, _ = gz.Write(fdrRecord(1))
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	s := registrytest.New(t)
	s.Add(7, registrytest.Schema{Schema: schemaText})
	s.Fail(http.StatusServiceUnavailable)

	dir := t.TempDir()
	broker, err := StartBroker(BrokerConfig{Listen: "127.0.0.1:0", Dir: filepath.Join(dir, "broker"), Topics: EmbeddedTopics()})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	cfg := Embedded(broker, EmbeddedConfig{Dir: dir, Listen: "127.0.0.1:0", HealthListen: "127.0.0.1:0"})
	cfg.Sources[0].Decode.SchemaRegistry.URLs = []string{s.URL}
	cfg.Pipeline.Retry.Max = 50 * time.Millisecond
	cfg.Pipeline.Retry.Min = 5 * time.Millisecond
	said := &syncBuffer{}
	a, err := New(cfg, Options{Logger: slog.New(slog.NewTextHandler(said, nil)), Stdout: io.Discard, Build: buildinfo.Info{Version: "test"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()

	w := &kafka.Writer{Addr: kafka.TCP(broker.Addr()), BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll, Transport: &kafka.Transport{}}
	var messages []kafka.Message
	for _, value := range [][]byte{packed.Bytes(), append([]byte{0, 0, 0, 0, 7}, beat...), {0, 0, 0, 0, 9, 1}, []byte(`{"event_simpleName":"SensorHeartbeat","aid":"a2","timestamp":"1784434147124","event_platform":"Win"}`)} {
		messages = append(messages, kafka.Message{Topic: "edr.crowdstrike.fdr", Value: value, Key: []byte("a1")})
	}
	if err := w.WriteMessages(t.Context(), messages...); err != nil {
		t.Fatal(err)
	}
	w.Transport.(*kafka.Transport).CloseIdleConnections()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	within(t, 30*time.Second, "readiness to fail", func() bool {
		code, body := get(t, a.HealthURL()+"/readyz?verbose")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "schema registry of source embedded") && strings.Contains(body, "503")
	})
	within(t, 30*time.Second, "the log to say it", func() bool { return strings.Contains(said.String(), "reading of the partition pauses") })
	if n := a.DeadLetters(); n != 0 {
		t.Errorf("%d dead letters while the registry is down", n)
	}
	if err := a.Check(t.Context())["schema registry of source embedded"]; err == nil {
		t.Error("the check finds nothing wrong")
	}

	s.Answer(nil)
	within(t, 30*time.Second, "the records in the store", func() bool {
		n, _, err := a.Store().Count(t.Context(), store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		return n == 3
	})
	within(t, 30*time.Second, "readiness", func() bool { code, _ := get(t, a.HealthURL()+"/readyz"); return code == http.StatusOK })
	within(t, 30*time.Second, "the dead letter", func() bool { return a.DeadLetters() == 1 })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "dead-letter.ndjson"))
	if err != nil || !strings.Contains(string(text), `"reason":"unknown_schema"`) || !strings.Contains(string(text), `"stage":"decode"`) || !strings.Contains(string(text), `"original":"\u0000\u0000\u0000\u0000\t\u0001"`) {
		t.Errorf("dead letter %s, %v", text, err)
	}
}

// TestFilesAreDecodedAsTheirSource takes the decoders of the source that asks a
// registry.
func TestFilesAreDecodedAsTheirSource(t *testing.T) {
	loaded, err := config.Parse("c.yaml", []byte(`
version: 1
sources:
  - {name: a, type: file, paths: [x], decoders: [none]}
  - {name: b, type: file, paths: [y], schema_registry: {urls: ["http://registry.example"]}}
sinks: [{name: out, type: file, path: z}]
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := loaded.Config
	if got := DecodersOf(&cfg); !got.SchemaRegistry.Enabled() {
		t.Errorf("%+v", got)
	}
	cfg.Sources = cfg.Sources[:1]
	if got := DecodersOf(&cfg); len(got.Decoders) != 1 || got.Decoders[0] != "none" {
		t.Errorf("%+v", got)
	}
	cfg.Sources = nil
	if got := DecodersOf(&cfg); len(got.Decoders) != 1 || got.Decoders[0] != "auto" {
		t.Errorf("%+v", got)
	}
}
