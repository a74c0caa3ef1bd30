package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// magic begins every snapshot; the number is the version of the format.
const magic = "edrwatch rules 1\n"

// Writer appends a snapshot to bytes. It belongs to one goroutine.
type Writer struct {
	// Base is that of Codec, for all sections.
	Base int64

	to    []byte
	begin int
	codec Codec
}

// NewWriter returns a writer that appends to bytes.
func NewWriter(to []byte) *Writer {
	return &Writer{begin: len(to), to: append(to, magic...)}
}

// Section appends a section; each name may be used once.
func (w *Writer) Section(name string, version uint64, body func(*Codec)) {
	w.to = binary.AppendUvarint(w.to, uint64(len(name)))
	w.to = append(w.to, name...)
	w.to = binary.AppendUvarint(w.to, version)
	at := len(w.to)
	w.to = append(w.to, 0, 0, 0, 0, 0, 0, 0, 0)
	clear(w.codec.shared)
	if w.codec.recent != nil {
		clear(w.codec.recent[:])
	}
	w.codec = Codec{Base: w.Base, b: w.to, shared: w.codec.shared, recent: w.codec.recent}
	body(&w.codec)
	w.to = w.codec.b
	binary.LittleEndian.PutUint64(w.to[at:], uint64(len(w.to)-at-8))
}

// Finish appends the sum and returns all.
func (w *Writer) Finish() []byte {
	return binary.LittleEndian.AppendUint64(w.to, xxhash.Sum64(w.to[w.begin:]))
}

// File is a snapshot that was read, in sections.
type File struct {
	// Base is that of Codec, for all sections that are read from now on.
	Base int64

	sections map[string]section
}

type section struct {
	version uint64
	body    []byte
}

// Parse takes a snapshot apart. The file keeps the bytes.
func Parse(data []byte) (*File, error) {
	if len(data) < len(magic)+8 || string(data[:len(magic)]) != magic {
		return nil, fmt.Errorf("expected a snapshot of the format %q", magic[:len(magic)-1])
	}
	body := data[:len(data)-8]
	if binary.LittleEndian.Uint64(data[len(body):]) != xxhash.Sum64(body) {
		return nil, errors.New("the snapshot is damaged: its sum is another one")
	}
	f := &File{sections: map[string]section{}}
	c := Codec{b: body[len(magic):], reading: true, section: "contents", size: len(body) - len(magic)}
	for len(c.b) > 0 {
		name := string(c.take())
		version := c.uvarint(0)
		size := c.fixed(0)
		if size > uint64(len(c.b)) {
			c.Fail("section %q is %d bytes, and %d are left", name, size, len(c.b))
		}
		if c.err != nil {
			return nil, c.err
		}
		if _, twice := f.sections[name]; twice {
			return nil, fmt.Errorf("section %q is in the snapshot twice", name)
		}
		f.sections[name] = section{version, c.b[:size]}
		c.b = c.b[size:]
	}
	return f, nil
}

// Version is that of a section; 0 where there is none.
func (f *File) Version(name string) uint64 { return f.sections[name].version }

// Len is the number of sections whose names begin alike.
func (f *File) Len(prefix string) (n int) {
	for name := range f.sections {
		if strings.HasPrefix(name, prefix) {
			n++
		}
	}
	return n
}

// Read reads a section; its body has to end where reading does.
func (f *File) Read(name string, body func(*Codec)) error {
	s, ok := f.sections[name]
	if !ok {
		return fmt.Errorf("there is no section %q", name)
	}
	return Read(name, f.Base, s.body, body)
}

// Append appends what body writes, for what has a frame of its own.
func Append(to []byte, body func(*Codec)) []byte {
	c := &Codec{b: to}
	body(c)
	return c.b
}

// Read reads bytes, which have to end where reading does; the error names them.
func Read(name string, base int64, b []byte, body func(*Codec)) error {
	c := &Codec{Base: base, b: b, reading: true, section: name, size: len(b)}
	body(c)
	if c.err == nil && len(c.b) > 0 {
		c.Fail("%d bytes are left over", len(c.b))
	}
	return c.err
}
