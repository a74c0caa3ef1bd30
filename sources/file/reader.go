package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/sources/internal/streamid"
)

// Format is how lines are to be read.
type Format uint8

// The formats.
const (
	Auto    Format = iota // decided per file by the shape of its first JSON object
	Raw                   // a line is a record's value
	Capture               // a line is a record with its Kafka coordinates
)

// UnmarshalText reads auto, raw or capture.
func (f *Format) UnmarshalText(text []byte) error {
	for _, known := range []Format{Auto, Raw, Capture} {
		if known.String() == string(text) {
			*f = known
			return nil
		}
	}
	return fmt.Errorf("expected auto, raw or capture, found %q", text)
}

// String returns the name of the format.
func (f Format) String() string { return [...]string{"auto", "raw", "capture"}[f] }

// Options of a Reader. The zero value of a field means its default.
type Options struct {
	Format Format // default Auto
	// MaxLineBytes is the longest line that becomes a record; default 8 MiB.
	MaxLineBytes int
	// MaxInflatedBytes bounds what a gzip file may decompress to; default 64 GiB.
	MaxInflatedBytes int64
}

// Line is one line of the input. What it points to is valid until the next
// call of Next.
type Line struct {
	Number    int  // from 1
	Blank     bool // nothing but white space; there is no record
	Partition event.Partition
	// Record has Fault set, and the line itself as Value, when the line is over
	// the limit (then Value is its beginning) or not a valid capture line.
	Record event.Record
}

// Reader iterates over the lines of one input. It is not safe for concurrent
// use.
type Reader struct {
	name   string
	opts   Options
	in     io.Reader
	lines  *lineReader
	format Format
	number int
	path   event.Partition // of raw lines
	parser captureParser
}

// NewReader returns a Reader of r. The name stands in errors and identifies the
// stream of raw lines: a path, or "stdin".
func NewReader(r io.Reader, name string, opts Options) *Reader {
	if opts.MaxLineBytes <= 0 {
		opts.MaxLineBytes = 8 << 20
	}
	if opts.MaxInflatedBytes <= 0 {
		opts.MaxInflatedBytes = 64 << 30
	}
	return &Reader{name: name, opts: opts, in: r, format: opts.Format, path: event.Partition{Prefix: streamid.Path(name)}}
}

// Format returns the format being read: Auto until a line has decided it.
func (r *Reader) Format() Format { return r.format }

// Next returns the next line. The error is io.EOF at the end of the input, and
// otherwise that of reading it; a bad line is no error but a record with Fault.
func (r *Reader) Next() (Line, error) {
	if r.lines == nil {
		in, err := inflate(r.in, r.name, r.opts.MaxInflatedBytes)
		if err != nil {
			return Line{}, err
		}
		r.lines = newLineReader(in, r.opts.MaxLineBytes)
	}
	text, dropped, err := r.lines.next()
	if err != nil {
		return Line{}, r.readError(err)
	}
	r.number++
	if r.number == 1 {
		text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	}
	line := Line{Number: r.number, Partition: r.path}
	line.Record.Offset = int64(r.number)
	line.Record.Value = text
	switch {
	case dropped > 0:
		line.Record.Fault = fault.New(fault.Permanent, fault.TooLarge, "reading %s:%d: expected at most %d bytes in a line, found %d",
			r.name, r.number, r.opts.MaxLineBytes, dropped).WithHint("raise max_line_bytes")
		return line, nil
	case blank(text):
		line.Blank = true
		line.Record.Value = nil
		return line, nil
	}
	if r.format == Auto {
		r.format = r.parser.shape(text)
	}
	if r.format == Capture {
		r.parser.parse(text, &line, r.name)
	}
	return line, nil
}

func (r *Reader) readError(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	var classified *fault.Error
	if errors.As(err, &classified) {
		return err
	}
	return fmt.Errorf("reading %s after line %d: %w", r.name, r.number, err)
}

// blank reports whether text holds only white space.
func blank(text []byte) bool {
	for _, c := range text {
		if !strings.ContainsRune(" \t\r\v\f", rune(c)) {
			return false
		}
	}
	return true
}
