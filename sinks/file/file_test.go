package file_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/sinks/file"
	"github.com/edrwatch/edrwatch/sinks/sinktest"
)

var (
	_ pipeline.Sink       = (*file.Sink)(nil)
	_ pipeline.DeadLetter = (*file.DeadLetter)(nil)
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func settings() file.Settings {
	return file.Settings{Name: "file", Logger: slog.New(slog.DiscardHandler)}
}

// lines is the file as a destination.
type lines struct {
	t    *testing.T
	read func() []byte
}

func (lines) Follow(sinktest.Plan) {}

func (l lines) Contents() []sinktest.Stored {
	var stored []sinktest.Stored
	for line := range bytes.Lines(l.read()) {
		var doc struct{ Event struct{ ID string } }
		if err := json.Unmarshal(line, &doc); err != nil {
			l.t.Fatalf("line %q: %v", line, err)
		}
		stored = append(stored, sinktest.Stored{ID: doc.Event.ID, Body: bytes.TrimSuffix(line, []byte("\n"))})
	}
	return stored
}

func read(t *testing.T, path string) []byte {
	content, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return content
}

func TestContract(t *testing.T) {
	sinktest.Run(t, sinktest.Traits{}, func(t *testing.T) (sinktest.Sink, sinktest.Destination) {
		path := filepath.Join(t.TempDir(), "out.ndjson")
		s, err := file.New(file.Config{Path: path, Sync: true}, settings())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s, lines{t, func() []byte { return read(t, path) }}
	})
}

func TestStdout(t *testing.T) {
	var out bytes.Buffer
	set := settings()
	set.Stdout = &out
	s, err := file.New(file.DefaultConfig(), set)
	if err != nil {
		t.Fatal(err)
	}
	docs := sinktest.Documents("out", 3, 0)
	if err := s.Write(t.Context(), docs, make([]event.Result, 3)); err != nil {
		t.Fatal(err)
	}
	if got := (lines{t, out.Bytes}).Contents(); len(got) != 3 || got[2].ID != docs[2].ID {
		t.Errorf("standard output holds %v", got)
	}
}

func TestReopensAfterRename(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.ndjson")
	s, err := file.New(file.Config{Path: path, Sync: true}, settings())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	write := func(prefix string) {
		if err := s.Write(t.Context(), sinktest.Documents(prefix, 1, 0), make([]event.Result, 1)); err != nil {
			t.Fatal(err)
		}
	}
	write("before")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write("after")
	if !bytes.Contains(read(t, path+".1"), []byte("before-0")) || !bytes.Contains(read(t, path), []byte("after-0")) {
		t.Error("the file was not opened anew after it was renamed")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write("removed")
	if !bytes.Contains(read(t, path), []byte("removed-0")) {
		t.Error("the file was not opened anew after it was removed")
	}
}

func TestEndsHalfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.ndjson")
	if err := os.WriteFile(path, []byte("{\"a\":1}\n{\"b\":"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := file.New(file.Config{Path: path}, settings())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	docs := sinktest.Documents("next", 1, 0)
	if err := s.Write(t.Context(), docs, make([]event.Result, 1)); err != nil {
		t.Fatal(err)
	}
	if got, want := string(read(t, path)), "{\"a\":1}\n{\"b\":\n"+string(docs[0].Body)+"\n"; got != want {
		t.Errorf("file holds %q, want %q", got, want)
	}
}

func TestMissingDirectoryIsForTheOperator(t *testing.T) {
	s, err := file.New(file.Config{Path: filepath.Join(t.TempDir(), "absent", "out.ndjson")}, settings())
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"Check": s.Check(t.Context()),
		"Write": s.Write(t.Context(), sinktest.Documents("x", 1, 0), make([]event.Result, 1)),
	} {
		if f := fault.Of(err); f == nil || f.Class != fault.Operator || f.Hint == "" {
			t.Errorf("%s: %v, want an operator's fault with a hint", what, err)
		}
	}
	if _, err := file.New(file.Config{}, settings()); err == nil || !strings.Contains(err.Error(), "path") {
		t.Errorf("no path: %v", err)
	}
}

func TestFullDeviceLosesNothing(t *testing.T) {
	s, err := file.New(file.Config{Path: "/dev/full", Sync: true}, settings())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	results := make([]event.Result, 2)
	err = s.Write(t.Context(), sinktest.Documents("x", 2, 0), results)
	if f := fault.Of(err); f == nil || f.Class != fault.Transient || results[0].Outcome != event.Pending {
		t.Errorf("writing to a full device: %v, document %v; want transient, pending", err, results[0].Outcome)
	}
}

func TestDeadLetter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	bad := []byte{0xff, 0x00, '{'}
	letters := []event.Dead{
		{
			Partition: event.Partition{Topic: "edr.windows", Number: 2}, Offset: 41, Time: 1721361600123, Key: []byte("host-1"),
			Headers:  []event.Header{{Key: "h", Value: []byte("a")}, {Key: "h", Value: []byte("b")}, {Key: "raw", Value: bad}},
			Original: []byte("{\"a\":\n"), Stage: "mapping", Reason: "unparsable", Detail: "unexpected end",
		},
		{Partition: event.Partition{Topic: "edr.windows"}, Offset: 42, Original: bad, Stage: "source", Reason: "undecodable"},
	}
	bury := func(byLine bool) []map[string]any {
		d, err := file.NewDeadLetter(file.Config{Path: path, Sync: true}, settings(), byLine)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := d.Bury(t.Context(), letters); err != nil {
			t.Fatal(err)
		}
		var got []map[string]any
		for line := range bytes.Lines(read(t, path)) {
			var letter map[string]any
			if err := json.Unmarshal(line, &letter); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			got = append(got, letter)
		}
		return got
	}
	encoded := base64.StdEncoding.EncodeToString(bad)
	got := bury(false)
	want := []map[string]any{
		{
			"topic": "edr.windows", "partition": 2.0, "offset": 41.0, "timestamp": 1721361600123.0, "stage": "mapping", "reason": "unparsable",
			"detail": "unexpected end", "key": "host-1", "headers": map[string]any{"h": []any{"a", "b"}},
			"headers_b64": map[string]any{"raw": []any{encoded}}, "original": "{\"a\":\n",
		},
		{"topic": "edr.windows", "partition": 0.0, "offset": 42.0, "stage": "source", "reason": "undecodable", "detail": "", "original_b64": encoded},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("dead letters\n%v\nwant\n%v", got, want)
	}
	if line := bury(true)[3]; line["line"] != 42.0 || line["topic"] != nil {
		t.Errorf("dead letter of a file: %v, want line 42 and no topic", line)
	}
}
