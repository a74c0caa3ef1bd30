package mappings

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/edrwatch/edrwatch/mappings/internal/scan"
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// FuzzMap maps arbitrary bytes with the whole library: an error that buries
// the record or at least one event, and every event is a valid document.
func FuzzMap(f *testing.F) {
	cases, err := filepath.Glob("*/testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range cases {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"records":[{"a":1},{"records":[]}]}`))
	f.Add([]byte("{\n\"a\":[\n1\n]}"))
	f.Add([]byte(`{"event_simpleName":["x"],"aid":{"a":1},"timestamp":-1e999}`))
	m := libraryPlan(f).NewMapper(KeepOriginal())
	limits := scan.DefaultLimits()
	limits.Size, limits.Depth, limits.Values = 1<<30, 1<<10, 1<<30 // Those of records, not of documents.
	tape := scan.NewTape(limits)
	f.Fuzz(func(t *testing.T, data []byte) {
		events := 0
		err := m.Map(&event.Partition{Topic: "t"}, &event.Record{Value: data}, func(e *event.Event) {
			events++
			if document := e.AppendJSON(nil); !json.Valid(document) || bytes.ContainsAny(document, "\r\n") {
				t.Fatalf("not valid JSON in one line: %s", document)
			}
			if err := tape.Scan(e.AppendJSON(nil)); err != nil || tape.Halves {
				t.Fatalf("half a surrogate pair, or %v: %s", err, e.AppendJSON(nil))
			}
			checkEventValues(t, e)
			checkTape(t, m.tape, tape)
		})
		switch {
		case err != nil && events > 0:
			t.Errorf("%d events and an error: %v", events, err)
		case err != nil && fault.Of(err).Class != fault.Permanent:
			t.Errorf("an error that would be tried again: %v", err)
		case err == nil && events == 0:
			t.Error("neither an event nor an error")
		}
	})
}

// checkTape compares a tape, of which parts may have been made without reading
// the text, with one of its text.
func checkTape(t *testing.T, made, read *scan.Tape) {
	if err := read.Scan(made.Data); err != nil {
		t.Fatalf("%v: %s", err, made.Data)
	}
	same := slices.EqualFunc(made.Nodes, read.Nodes, func(a, b scan.Node) bool { a.Tag, b.Tag = 0, 0; return a == b })
	if !same || made.Depth != read.Depth || made.Halves != read.Halves {
		t.Fatalf("the tape is not that of the text: %s\ngot  %v\nwant %v", made.Data, made.Nodes, read.Nodes)
	}
}

func checkEventValues(t *testing.T, e *event.Event) {
	for id, v := range e.Fields {
		if f := e.Dictionary().Field(id); v.Kind() != f.Kind && (v.Kind() != ecs.Int || f.Kind != ecs.Float) {
			t.Errorf("%s holds a %s, not a %s", f.Name, v.Kind(), f.Kind)
		}
	}
}

// FuzzLoad compiles arbitrary mapping files: an error or a plan that maps.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("*/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(header + "fields: {host.ip: {from: a, split: x}}\nexpr: {message: 'upper(text(\"b\"))'}\n")
	table, err := os.ReadFile("agents.csv")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := Parse(fstest.MapFS{"v/a.yml": {Data: []byte(text)}, "agents.csv": {Data: table}})
		if err != nil {
			return
		}
		dict, err := ecs.New(parsed.Fields()...)
		if err != nil {
			return
		}
		plan, err := parsed.Compile(dict)
		if err != nil {
			return
		}
		mapped(t, plan, "t", `{"aid":"a","event_simpleName":"SensorHeartbeat","winlog":{"event_id":7036},"a":"1","records":[{}]}`)
	})
}
