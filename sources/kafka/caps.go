package kafka

import (
	"fmt"
	"io"

	"github.com/segmentio/kafka-go/compress"
)

func codecName(code int8) string { return compress.Compression(code).String() }

// CapCodecs replaces kafka-go's codecs by ones that refuse to decompress a
// batch to more than limit bytes, because kafka-go's readers and clients bound
// nothing. This source does not depend on it: it caps what it decompresses by
// its configuration. kafka-go has no other place for it than a package
// variable; so the composition root calls this once, before the first
// connection. Calling it again sets another limit.
func CapCodecs(limit int64) {
	for i, codec := range compress.Codecs {
		switch known := codec.(type) {
		case nil:
		case *cappedCodec:
			compress.Codecs[i] = &cappedCodec{Codec: known.Codec, limit: limit}
		default:
			compress.Codecs[i] = &cappedCodec{Codec: codec, limit: limit}
		}
	}
}

// cappedCodec is a codec whose readers end with an error after limit bytes.
type cappedCodec struct {
	compress.Codec
	limit int64
}

// NewReader implements compress.Codec.
func (c *cappedCodec) NewReader(r io.Reader) io.ReadCloser {
	if c.Code() == codecSnappy {
		return &snappyReader{r: r, limit: c.limit}
	}
	return &cappedReader{ReadCloser: c.Codec.NewReader(r), left: c.limit, limit: c.limit, name: c.Name()}
}

type cappedReader struct {
	io.ReadCloser
	left, limit int64
	name        string
}

func (r *cappedReader) Read(p []byte) (int, error) {
	if int64(len(p)) > r.left+1 {
		p = p[:r.left+1]
	}
	n, err := r.ReadCloser.Read(p)
	if r.left -= int64(n); r.left < 0 {
		return 0, fmt.Errorf("decompressing %s: %w of %d bytes", r.name, errTooLarge, r.limit)
	}
	return n, err
}

// snappyReader decompresses on the first Read: a block of snappy says how large
// it will be, and that has to be checked before room is made for it.
type snappyReader struct {
	r       io.Reader
	limit   int64
	content []byte
	done    bool
}

func (r *snappyReader) Read(p []byte) (int, error) {
	if !r.done {
		r.done = true
		src, err := io.ReadAll(io.LimitReader(r.r, r.limit+1))
		if err == nil && int64(len(src)) > r.limit {
			err = errTooLarge
		}
		if err == nil {
			r.content, err = decompressSnappy(nil, src, int(r.limit))
		}
		if err != nil {
			r.content = nil
			return 0, fmt.Errorf("decompressing snappy: %w of %d bytes", err, r.limit)
		}
	}
	if len(r.content) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.content)
	r.content = r.content[n:]
	return n, nil
}

// Close implements io.Closer.
func (r *snappyReader) Close() error {
	r.content = nil
	return nil
}
