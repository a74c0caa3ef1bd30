package decode

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
)

// gunzip decodes gzip (RFC 1952), of several members too.
type gunzip struct {
	in     bytes.Reader
	reader gzip.Reader
}

func (g *gunzip) first() []byte { return []byte{0x1f} }

func (g *gunzip) detect(value []byte) bool {
	return len(value) > 2 && value[0] == 0x1f && value[1] == 0x8b && value[2] == 8 // deflate, the only method
}

func (g *gunzip) append(_ context.Context, dst, value []byte) ([]byte, error) {
	g.in.Reset(value)
	defer g.in.Reset(nil) // The value is the source's.
	if err := g.reader.Reset(&g.in); err != nil {
		return dst, undecodable("gzip", err)
	}
	for {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, max(4<<10, min(len(dst), maxDecoded)))
		}
		n, err := g.reader.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > maxDecoded:
			return dst, tooLarge("gzip")
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst, undecodable("gzip", err)
		}
	}
}
