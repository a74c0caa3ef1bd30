package file

import (
	"bytes"
	"errors"
	"io"
)

// initialBuffer is the size of the read buffer, in bytes; it grows up to the
// longest line that is permitted.
const initialBuffer = 256 << 10

// keptOfLongLine is how many bytes are kept of a line over the limit.
const keptOfLongLine = 64 << 10

// lineReader splits a stream into lines without copying them.
type lineReader struct {
	r          io.Reader
	limit      int // longest line in bytes, without its end
	buf        []byte
	start, end int // what is read and not yet given out
	err        error
	prefix     []byte // of a line over the limit
}

func newLineReader(r io.Reader, limit int) *lineReader {
	return &lineReader{r: r, limit: limit, buf: make([]byte, min(initialBuffer, limit+2))}
}

// next returns the next line without its end (\n or \r\n), valid until the next
// call. Of a line over the limit it returns the beginning, and its whole length
// in dropped; otherwise dropped is 0. The error is io.EOF after the last line.
func (l *lineReader) next() (line []byte, dropped int64, err error) {
	searched := l.start
	for {
		if i := bytes.IndexByte(l.buf[searched:l.end], '\n'); i >= 0 {
			line = l.buf[l.start : searched+i]
			l.start = searched + i + 1
			return l.checked(line)
		}
		searched = l.end
		if l.err != nil {
			if l.start == l.end || !errors.Is(l.err, io.EOF) {
				return nil, 0, l.err
			}
			line = l.buf[l.start:l.end]
			l.start = l.end
			return l.checked(line)
		}
		if l.end == len(l.buf) {
			pending := l.end - l.start
			switch {
			case pending > l.limit+1:
				return l.skip()
			case l.start > 0:
				copy(l.buf, l.buf[l.start:l.end])
				searched -= l.start
				l.start, l.end = 0, pending
			default:
				grown := make([]byte, min(2*len(l.buf), l.limit+2))
				copy(grown, l.buf[:pending])
				l.buf = grown
			}
		}
		l.fill()
	}
}

// checked takes a carriage return off a complete line and checks its length.
func (l *lineReader) checked(line []byte) ([]byte, int64, error) {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) > l.limit {
		return line[:min(len(line), keptOfLongLine)], int64(len(line)), nil
	}
	return line, 0, nil
}

// skip reads on to the end of a line that does not fit the buffer.
func (l *lineReader) skip() ([]byte, int64, error) {
	l.prefix = append(l.prefix[:0], l.buf[l.start:min(l.end, l.start+keptOfLongLine)]...)
	length := int64(l.end - l.start)
	for {
		l.start, l.end = 0, 0
		if l.err != nil {
			if !errors.Is(l.err, io.EOF) {
				return nil, 0, l.err
			}
			return l.prefix, length, nil
		}
		l.fill()
		if i := bytes.IndexByte(l.buf[:l.end], '\n'); i >= 0 {
			l.start = i + 1
			if i > 0 && l.buf[i-1] == '\r' {
				length--
			}
			return l.prefix, length + int64(i), nil
		}
		length += int64(l.end)
	}
}

func (l *lineReader) fill() {
	for range 100 {
		n, err := l.r.Read(l.buf[l.end:])
		l.end += n
		l.err = err
		if n > 0 || err != nil {
			return
		}
	}
	l.err = io.ErrNoProgress
}
