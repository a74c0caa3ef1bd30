package file

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSourceContract(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, in sourcetest.Input) func() sourcetest.Source {
		// Records of all partitions take turns in one capture file.
		var text []byte
		for i := range in[0] {
			for p := range in {
				text = AppendCapture(text, &event.Partition{Topic: "t", Number: int32(p)}, &event.Record{Offset: int64(i), Value: []byte(in[p][i])})
			}
		}
		path := filepath.Join(t.TempDir(), "capture.ndjson")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := DefaultConfig()
		cfg.Paths, cfg.BatchRecords = []string{path}, 7
		source, err := New(cfg, Settings{Name: "files"})
		if err != nil {
			t.Fatal(err)
		}
		return func() sourcetest.Source { return source }
	})
}

// collect acknowledges everything and keeps what came.
type collect struct{ values []string }

func (c *collect) Handle(_ context.Context, b *event.Batch) error {
	for i := range b.Records {
		c.values = append(c.values, string(b.Records[i].Value))
	}
	return nil
}

func (c *collect) Close() {}

func TestSourceReadsFilesAndStandardInput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raw.ndjson")
	if err := os.WriteFile(path, []byte("{\"a\":1}\n\n{\"a\":2}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Paths = []string{path, Stdin}
	source, err := New(cfg, Settings{Name: "files", Stdin: strings.NewReader("{\"a\":3}")})
	if err != nil {
		t.Fatal(err)
	}
	got := map[event.Partition]*collect{}
	if err := source.Run(t.Context(), func(_ context.Context, p event.Partition) (event.Worker, error) {
		got[p] = &collect{}
		return got[p], nil
	}); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range got {
		all = append(all, strings.Join(c.values, ","))
	}
	if len(got) != 2 || len(all[0])+len(all[1]) != len(`{"a":1},{"a":2}`)+len(`{"a":3}`) {
		t.Errorf("two inputs gave %v", all)
	}
}

func TestSourceProblems(t *testing.T) {
	if _, err := New(Config{}, Settings{Name: "files"}); err == nil || !strings.Contains(err.Error(), "paths: expected at least one path") {
		t.Errorf("an empty configuration gave %v", err)
	}
	cfg := DefaultConfig()
	cfg.Paths = []string{filepath.Join(t.TempDir(), "missing.ndjson")}
	source, err := New(cfg, Settings{Name: "files"})
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Check": source.Check(t.Context()),
		"Run":   source.Run(t.Context(), nil),
	} {
		if err == nil || !strings.Contains(err.Error(), "missing.ndjson: no such file") {
			t.Errorf("%s of a missing file gave %v", name, err)
		}
	}
}

func TestBlockKeepsWhatItCopied(t *testing.T) {
	var b block
	value := []byte("0123456789")
	for i := range 5000 {
		copy(value, []byte{byte('a' + i%26)})
		b.add(&event.Record{Value: value, Key: value[:1], Headers: []event.Header{{Key: "h", Value: value[:2]}}})
	}
	for i, r := range b.batch.Records {
		first := []byte{byte('a' + i%26)}
		if !bytes.HasPrefix(r.Value, first) || !bytes.Equal(r.Key, first) || !bytes.HasPrefix(r.Headers[0].Value, first) {
			t.Fatalf("record %d became %q", i, r.Value)
		}
	}
}
