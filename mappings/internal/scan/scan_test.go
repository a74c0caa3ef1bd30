package scan

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestScanErrors(t *testing.T) {
	limits := DefaultLimits()
	for _, tc := range []struct{ name, text, want string }{
		{"nothing", "", `offset 0: expected a value, found an empty record`},
		{"cut off", `{"a":1`, `offset 6: expected ',' or '}', found the end of the record`},
		{"cut off in a string", `{"a":"x`, `offset 7: expected '"' at the end of the string, found the end of the record`},
		{"two records", `{"a":1}{"b":2}`, `offset 7: expected the end of the record, found '{'`},
		{"NaN", `{"a":NaN}`, `offset 5: expected a value, found "NaN"`},
		{"single quotes", `{'a':1}`, `offset 1: expected a key in double quotes, found '\''`},
		{"trailing comma", `{"a":1,}`, `offset 7: expected a key in double quotes, found '}'`},
		{"leading zero", `[01]`, `offset 2: expected ',' or ']', found "1"`},
		{"control character", "[\"a\tb\"]", `offset 3: expected an escaped control character, found the control character 0x09`},
		{"not UTF-8", "[\"a\xffb\"]", `offset 3: expected UTF-8, found the byte 0xff, which is not UTF-8`},
		{"bad escape", `["\x41"]`, `offset 3: expected one of "\/bfnrtu after '\', found "x41"`},
		{"schema registry", "\x00\x00\x00\x00\x07abc", `offset 0: expected a value, found the magic byte 0x00 of a schema registry (Avro, Protobuf or JSON Schema framing)`},
		{"UTF-16", "\xff\xfe{\x00", `offset 0: expected a value, found UTF-16 text`},
		{"XML", "<Event/>", `offset 0: expected a value, found XML`},
		{"too deep", strings.Repeat("[", 70), `offset 64: expected at most 64 objects and arrays inside each other, found '['`},
		{"endless number", "[" + strings.Repeat("9", 1001) + "]", `offset 1: expected a number of at most 1000 characters, found "999999999999"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tape := NewTape(limits)
			err := tape.Scan([]byte(tc.text))
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
	t.Run("too large", func(t *testing.T) {
		limits.Size = 4
		err := NewTape(limits).Scan([]byte(`[1,2]`))
		if err == nil || err.Error() != "offset 0: expected at most 4 bytes, found 5 bytes" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("too many values", func(t *testing.T) {
		limits := DefaultLimits()
		limits.Values = 3
		err := NewTape(limits).Scan([]byte(`[1,2,3]`))
		if err == nil || err.Error() != `offset 5: expected at most 3 values, found "3"` {
			t.Errorf("got %v", err)
		}
	})
}

func TestScanSkipsByteOrderMark(t *testing.T) {
	tape := NewTape(DefaultLimits())
	if err := tape.Scan([]byte("\xef\xbb\xbf {\"a\":1}")); err != nil || len(tape.Nodes) != 2 {
		t.Errorf("%v, %d nodes", err, len(tape.Nodes))
	}
}

// rebuild turns the tape into what encoding/json makes of the text.
func rebuild(t *Tape, i int) any {
	n := &t.Nodes[i]
	switch n.Kind {
	case Null:
		return nil
	case False, True:
		return n.Kind == True
	case Number:
		return json.Number(t.Raw(n))
	case String:
		return string(AppendUnescaped(nil, t.Raw(n)))
	case Array:
		list := []any{}
		for k := i + 1; k < int(n.Next); k = int(t.Nodes[k].Next) {
			list = append(list, rebuild(t, k))
		}
		return list
	}
	object := map[string]any{}
	for k := i + 1; k < int(n.Next); k = int(t.Nodes[k].Next) {
		object[string(AppendUnescaped(nil, t.Key(&t.Nodes[k])))] = rebuild(t, k)
	}
	return object
}

// FuzzScan compares with encoding/json: what is valid, and what it means.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, ` {"a" : [1, -2.5e+3, true, false, null, "x\u00e9\ud83d\ude00\n\/"] , "b":{"c":{}}} `, `{"a":1,"a":{"b":2}}`,
		`"\ud800"`, `"\ud800\u0041"`, `{"\u0061":0}`, "\"long plain text with ünïcödé in it\"", `[0.0e0,-0,1E9]`, `{"a":`, "[\"\xff\"]", `nul`,
	} {
		f.Add([]byte(s))
	}
	limits := DefaultLimits()
	tape := NewTape(limits)
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
			return
		}
		err := tape.Scan(data)
		if err == nil != (json.Valid(data) && utf8.Valid(data)) {
			if e, ok := err.(*Error); ok && json.Valid(data) && strings.Contains(e.Expected, "at most") {
				return
			}
			t.Fatalf("Scan(%q) = %v, json.Valid = %v, utf8.Valid = %v", data, err, json.Valid(data), utf8.Valid(data))
		}
		if err != nil {
			if e := err.(*Error); e.Offset < 0 || e.Offset > len(data) {
				t.Fatalf("offset %d outside of %d bytes", e.Offset, len(data))
			}
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		got, _ := json.Marshal(rebuild(tape, 0))
		expected, _ := json.Marshal(want)
		if !bytes.Equal(got, expected) {
			t.Fatalf("Scan(%q)\n got %s\nwant %s", data, got, expected)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	text := []byte(benchmarkLine())
	b.Logf("one flat object of %d bytes, %d keys, values are strings", len(text), 30)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	tape := NewTape(DefaultLimits())
	for b.Loop() {
		if err := tape.Scan(text); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkLine() string {
	var s strings.Builder
	for i := range 30 {
		s.WriteString(`,"Field` + strconv.Itoa(i) + `Name":"0123456789"`)
	}
	return "{" + s.String()[1:] + "}"
}

// TestComposed compares the tapes of texts that a Mapper writes with those of
// a scan.
func TestComposed(t *testing.T) {
	tape, scanned := NewTape(DefaultLimits()), NewTape(DefaultLimits())
	compare := func(text string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := scanned.Scan([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(tape.Nodes, scanned.Nodes) || tape.Depth != scanned.Depth || tape.Halves != scanned.Halves || string(tape.Data) != text {
			t.Errorf("%s\ngot  %v\nwant %v", text, tape.Nodes, scanned.Nodes)
		}
	}
	for text, escaped := range map[string]bool{`{"message":""}`: false, `{"message":"plain"}`: false, `{"message":"a \"quote\""}`: true} {
		compare(text, tape.Text([]byte(text), len("message"), escaped))
	}
	for _, tc := range [][2]string{
		{`{"a":{"b":[1,2]},"c":"\ud800"`, `,"d":{"e":{"f":{}}}}`}, {`{"message":"x"`, `,"d":1,"e":[] } `}, {`{"a":null`, `,"b":"\ud800"}`},
	} {
		earlier := NewTape(DefaultLimits())
		if err := earlier.Scan([]byte(tc[0] + "}")); err != nil {
			t.Fatal(err)
		}
		text := strings.TrimSpace(tc[0] + tc[1])
		compare(text, tape.ScanMembers(earlier, []byte(text), len(tc[0])))
	}
	if err := tape.ScanMembers(scanned, []byte(`{"a":null,"b"}`), len(`{"a":null`)); err == nil || len(tape.Nodes) != 0 {
		t.Errorf("got %v and %d nodes, want an error and none", err, len(tape.Nodes))
	}
}
