package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sources/internal/streamid"
)

func TestAppendCapture(t *testing.T) {
	p := event.Partition{Topic: "edr.windows", Number: 3}
	for _, tc := range []struct {
		name   string
		record event.Record
		want   string
	}{
		{"an object stands as it is", event.Record{Offset: 7, Time: 1721362140000, Key: []byte("pc-1"), Value: []byte(`{"a": "ü"}`)},
			`{"ts":1721362140000,"topic":"edr.windows","partition":3,"offset":7,"key":"pc-1","headers":{},"value":{"a": "ü"}}`},
		{"a tombstone", event.Record{Key: []byte{}}, `{"ts":0,"topic":"edr.windows","partition":3,"offset":0,"key":"","headers":{},"value":null}`},
		{"text and an object with line ends are strings", event.Record{Value: []byte("{\n}")},
			`{"ts":0,"topic":"edr.windows","partition":3,"offset":0,"key":null,"headers":{},"value":"{\n}"}`},
		{"bytes that are not UTF-8", event.Record{Key: []byte{0xff}, Value: []byte{0xfe}},
			`{"ts":0,"topic":"edr.windows","partition":3,"offset":0,"key_b64":"/w==","headers":{},"value_b64":"/g=="}`},
		{"headers by name", event.Record{Value: []byte("v"), Headers: []event.Header{
			{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte{0xff}}, {Key: "a", Value: []byte("2")}, {Key: "c"}}},
			`{"ts":0,"topic":"edr.windows","partition":3,"offset":0,"key":null,"headers":{"a":["1","2"],"c":[null]},"headers_b64":{"b":["/w=="]},"value":"v"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := string(AppendCapture(nil, &p, &tc.record)); got != tc.want+"\n" {
				t.Errorf("got  %swant %s", got, tc.want)
			}
		})
	}
}

// FuzzCapture checks that whatever a record holds, its line is valid JSON and
// reads back as the same record, and that any line reads without a crash.
func FuzzCapture(f *testing.F) {
	f.Add("edr.windows", int32(0), int64(1), int64(2), []byte("key"), []byte(`{"a":[1,{"b":"]}"}]}`), "h", []byte("1"), false)
	f.Add("t", int32(3), int64(9), int64(-2), []byte{0xff}, []byte("\xf0\x9f\x98\x80\x00\u2028"), "", []byte{0xff}, true)
	f.Fuzz(func(t *testing.T, topic string, number int32, offset, ts int64, key, value []byte, name string, header []byte, null bool) {
		p := event.Partition{Topic: string([]rune(topic)), Number: max(number, 0), Prefix: streamid.Topic("", string([]rune(topic)), 0)}
		const bound = 1 << 58 // what the decoder takes as an integer
		r := event.Record{Offset: max(offset, 0) % bound, Time: ts % bound, Key: key, Value: value,
			Headers: []event.Header{{Key: string([]rune(name)), Value: header}, {Key: "second", Value: key}}}
		if null {
			r.Key, r.Value = nil, nil
		}
		text := AppendCapture(nil, &p, &r)
		if !json.Valid(text) {
			t.Fatalf("not JSON: %s", text)
		}
		reader := NewReader(bytes.NewReader(text), "fuzz", Options{Format: Auto})
		line, err := reader.Next()
		if err != nil || line.Record.Fault != nil {
			t.Fatalf("%v %v: %s", err, line.Record.Fault, text)
		}
		back := line.Record
		if line.Partition != p || back.Offset != r.Offset || back.Time != r.Time || !same(back.Key, r.Key) || !same(back.Value, r.Value) {
			t.Fatalf("%v %+v came back as %v %+v from %s", p, r, line.Partition, back, text)
		}
		for i := range r.Headers {
			found := false
			for j := range back.Headers {
				found = found || back.Headers[j].Key == r.Headers[i].Key && same(back.Headers[j].Value, r.Headers[i].Value)
			}
			if !found || len(back.Headers) != len(r.Headers) {
				t.Fatalf("headers %v came back as %v", r.Headers, back.Headers)
			}
		}
		if _, err := reader.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("a second line: %v", err)
		}
		// The value as a line of its own is arbitrary input.
		NewReader(bytes.NewReader(value), "fuzz", Options{Format: Capture}).Next()
	})
}

func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func TestReaderAllocatesNothingPerLine(t *testing.T) {
	text := bytes.Repeat([]byte(captured+"\n"), 2000)
	reader := NewReader(bytes.NewReader(text), "in", Options{})
	if _, err := reader.Next(); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if line, err := reader.Next(); err != nil || line.Record.Fault != nil {
			t.Fatal(err, line.Record.Fault)
		}
	}); n > 0 {
		t.Errorf("%v allocations a line, want none", n)
	}
}

// BenchmarkReader reads lines of 1 KiB values on one core.
func BenchmarkReader(b *testing.B) {
	value := []byte(`{"event_simpleName":"SensorHeartbeat","pad":"` + string(bytes.Repeat([]byte("x"), 970)) + `"}`)
	p := event.Partition{Topic: "edr.crowdstrike.fdr"}
	r := event.Record{Time: 1721362140000, Key: []byte("agent"), Value: value}
	quoted := r
	quoted.Value = append([]byte{' '}, value...)
	for _, bc := range []struct {
		name string
		line []byte
	}{
		{"raw", append(bytes.Clone(value), '\n')},
		{"capture with object", AppendCapture(nil, &p, &r)},
		{"capture with string", AppendCapture(nil, &p, &quoted)},
	} {
		b.Run(bc.name+" "+strconv.Itoa(len(bc.line))+" bytes a line", func(b *testing.B) {
			b.SetBytes(int64(len(bc.line)))
			b.ReportAllocs()
			reader := NewReader(&repeated{text: bytes.Repeat(bc.line, 100)}, "bench", Options{})
			for b.Loop() {
				if line, err := reader.Next(); err != nil || line.Record.Fault != nil {
					b.Fatal(err, line.Record.Fault)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

// repeated reads the same text for ever.
type repeated struct {
	text []byte
	pos  int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.pos:])
	r.pos = (r.pos + n) % len(r.text)
	return n, nil
}
