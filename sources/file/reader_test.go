package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// account renders lines as "number kind offset=… value" for comparison.
func account(t *testing.T, in io.Reader, opts Options) []string {
	t.Helper()
	reader := NewReader(in, "in.ndjson", opts)
	var out []string
	for {
		line, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			return append(out, "error: "+err.Error())
		}
		switch {
		case line.Blank:
			out = append(out, fmt.Sprintf("%d blank", line.Number))
		case line.Record.Fault != nil:
			out = append(out, fmt.Sprintf("%d %s: %v | %s", line.Number, fault.Of(line.Record.Fault).Reason, line.Record.Fault, line.Record.Value))
		default:
			out = append(out, fmt.Sprintf("%d %s/%d@%d ts=%d %s=%s %v", line.Number, line.Partition.Topic, line.Partition.Number,
				line.Record.Offset, line.Record.Time, line.Record.Key, line.Record.Value, line.Record.Headers))
		}
	}
}

const captured = `{"ts":1721362140000,"topic":"edr.windows","partition":2,"offset":41,"key":"pc-1","headers":{"a":["1","2"]},"value":{"x": 1}}`

func TestReader(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		opts     Options
		want     []string
	}{
		{"empty", "", Options{}, nil},
		{"raw with CRLF, blanks and a last line without end", "{\"a\":1}\r\n\n \t\r\n{\"a\":2}", Options{},
			[]string{`1 /0@1 ts=0 ={"a":1} []`, "2 blank", "3 blank", `4 /0@4 ts=0 ={"a":2} []`}},
		{"byte order mark", "\xef\xbb\xbf{\"a\":1}\n", Options{}, []string{`1 /0@1 ts=0 ={"a":1} []`}},
		{"garbage before the first object does not decide the format", "garbage\n" + captured + "\n", Options{},
			[]string{"1 /0@1 ts=0 =garbage []", `2 edr.windows/2@41 ts=1721362140000 pc-1={"x": 1} [{a [49]} {a [50]}]`}},
		{"a capture that is read as raw", captured, Options{Format: Raw}, []string{"1 /0@1 ts=0 =" + captured + " []"}},
		{"raw that is read as capture", `{"a":1}`, Options{Format: Capture},
			[]string{`1 unparsable: reading capture in.ndjson:1: offset 7: expected the key "ts", found none | {"a":1}`}},
		{"strings, null, base64 and unknown keys",
			`{"ts":1,"topic":"t","partition":0,"offset":0,"key":null,"value":"a\"\n\u00fc\ud83d\ude00\ud800","new":[{"k":"]"}]}` + "\n" +
				`{"ts":1,"topic":"t","partition":0,"offset":1,"key_b64":"/w==","value_b64":"//8="}`, Options{},
			[]string{"1 t/0@0 ts=1 =a\"\nü😀\ufffd []", "2 t/0@1 ts=1 \xff=\xff\xff []"}},
		{"malformed capture lines are kept with position and expectation", captured + "\n" +
			captured[:40] + "\n" +
			strings.Replace(captured, "41", `"x"`, 1) + "\n" +
			strings.Replace(captured, `{"x": 1}`, "7", 1) + "\n" +
			captured + "x", Options{},
			[]string{
				`1 edr.windows/2@41 ts=1721362140000 pc-1={"x": 1} [{a [49]} {a [50]}]`,
				`2 unparsable: reading capture in.ndjson:2: offset 40: expected '"', found the end of the line | ` + captured[:40],
				`3 unparsable: reading capture in.ndjson:3: offset 65: expected an integer, found '"' | ` + strings.Replace(captured, "41", `"x"`, 1),
				`4 unparsable: reading capture in.ndjson:4: offset 115: expected a string, an object or null, found '7' | ` + strings.Replace(captured, `{"x": 1}`, "7", 1),
				`5 unparsable: reading capture in.ndjson:5: offset 124: expected the end of the line, found 'x' | ` + captured + "x",
			}},
		{"a line over the limit is skipped and reading goes on", "12345678\n123456789\n" + strings.Repeat("x", 1000) + "\nok", Options{MaxLineBytes: 8},
			[]string{"1 /0@1 ts=0 =12345678 []",
				"2 too_large: reading in.ndjson:2: expected at most 8 bytes in a line, found 9: raise max_line_bytes | 123456789",
				"3 too_large: reading in.ndjson:3: expected at most 8 bytes in a line, found 1000: raise max_line_bytes | xxxxxxxxxx",
				"4 /0@4 ts=0 =ok []"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for kind, in := range map[string]io.Reader{
				"at once":      strings.NewReader(tc.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tc.in)),
				"gzip":         gzipped(t, tc.in),
			} {
				got := account(t, in, tc.opts)
				if strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
					t.Errorf("%s: got\n%s\nwant\n%s", kind, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
				}
			}
		})
	}
}

func gzipped(t testing.TB, text string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestReaderKeepsMemoryBoundedOnALineWithoutEnd(t *testing.T) {
	const limit = 1 << 20
	reader := NewReader(io.LimitReader(zeros{}, 64<<20), "zeros", Options{MaxLineBytes: limit})
	line, err := reader.Next()
	if err != nil || line.Record.Fault == nil {
		t.Fatalf("a line of 64 MiB gave %v and no fault", err)
	}
	if n := cap(reader.lines.buf); n > limit+2 {
		t.Errorf("the buffer grew to %d bytes with a limit of %d", n, limit)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func TestReaderErrors(t *testing.T) {
	bomb := gzipped(t, strings.Repeat("x\n", 1<<20))
	truncated := gzipped(t, strings.Repeat("x\n", 1000)).(*bytes.Buffer)
	truncated.Truncate(truncated.Len() - 9)
	for _, tc := range []struct {
		name string
		in   io.Reader
		want string
	}{
		{"a gzip bomb", bomb, "in.ndjson: it decompresses to more than 4096 bytes"},
		{"a truncated gzip file", truncated, "reading in.ndjson after line 1000: unexpected EOF"},
		{"bytes that only begin like gzip", strings.NewReader("\x1f\x8bnonsense"), "expected gzip after its magic bytes"},
		{"an input that fails", iotest.ErrReader(errors.New("disk on fire")), "reading in.ndjson after line 0: disk on fire"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := account(t, tc.in, Options{MaxInflatedBytes: 4096})
			if last := got[len(got)-1]; !strings.HasPrefix(last, "error: ") || !strings.Contains(last, tc.want) {
				t.Errorf("got %q, want %q", last, tc.want)
			}
		})
	}
}

// FuzzReader checks that every line of any input is accounted for once, in
// both formats, and that a record's bytes are those of the line.
func FuzzReader(f *testing.F) {
	f.Add([]byte(captured+"\n\n\r\n{}"), uint16(0), false)
	f.Add([]byte("a\nbb\r\nccc"), uint16(2), true)
	f.Fuzz(func(t *testing.T, in []byte, limit uint16, capture bool) {
		opts := Options{MaxLineBytes: int(limit), MaxInflatedBytes: 1 << 20, Format: Raw}
		if capture {
			opts.Format = Capture
		}
		reader := NewReader(bytes.NewReader(in), "fuzz", opts)
		text := bytes.TrimSuffix(in, []byte("\n"))
		lines := bytes.Split(text, []byte("\n"))
		if len(in) == 0 {
			lines = nil
		}
		zipped := bytes.HasPrefix(in, []byte("\x1f\x8b"))
		for n := 1; ; n++ {
			line, err := reader.Next()
			if err != nil {
				if !zipped && (!errors.Is(err, io.EOF) || n != len(lines)+1) {
					t.Fatalf("%v after %d of %d lines", err, n-1, len(lines))
				}
				return
			}
			if line.Number != n {
				t.Fatalf("line %d is numbered %d", n, line.Number)
			}
			if zipped || line.Blank || capture || line.Record.Fault != nil {
				continue
			}
			want := bytes.TrimSuffix(lines[n-1], []byte("\r"))
			if n == 1 {
				want = bytes.TrimPrefix(want, []byte("\xef\xbb\xbf"))
			}
			if !bytes.Equal(line.Record.Value, want) {
				t.Fatalf("line %d is %q, want %q", n, line.Record.Value, want)
			}
		}
	})
}
