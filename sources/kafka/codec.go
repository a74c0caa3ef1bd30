package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/segmentio/kafka-go/compress"
)

// The codecs of record batches, as Kafka numbers them.
const (
	codecNone = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
)

// maxWindow is the largest zstd window that is accepted, which is memory that
// the decoder holds beside its output.
const maxWindow = 32 << 20

// errTooLarge means that a payload decompresses to more than its limit.
var errTooLarge = errors.New("it decompresses to more than the limit")

// decompressor keeps the state of codecs between uses. It is safe for
// concurrent use.
type decompressor struct {
	gzip, lz4, zstd sync.Pool
}

// decompress appends the content of src to dst[:0] and returns errTooLarge
// as soon as that is more than limit bytes. What it allocates is bounded by
// the limit, the codec's window and its block size.
func (d *decompressor) decompress(codec int8, dst, src []byte, limit int) ([]byte, error) {
	dst = dst[:0]
	switch codec {
	case codecNone:
		return append(dst, src...), nil
	case codecGzip:
		z, _ := d.gzip.Get().(*gzip.Reader)
		if z == nil {
			z = new(gzip.Reader)
		}
		defer d.gzip.Put(z)
		if err := z.Reset(bytes.NewReader(src)); err != nil {
			return dst, err
		}
		return readLimited(dst, z, limit)
	case codecSnappy:
		return decompressSnappy(dst, src, limit)
	case codecLZ4:
		z, _ := d.lz4.Get().(*lz4.Reader)
		if z == nil {
			z = lz4.NewReader(nil)
		}
		defer d.lz4.Put(z)
		z.Reset(bytes.NewReader(src))
		return readLimited(dst, z, limit)
	case codecZstd:
		z, _ := d.zstd.Get().(*zstd.Decoder)
		if z == nil {
			var err error
			// One goroutine at a time means none in the background: nothing to close.
			z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return dst, err
			}
		}
		defer d.zstd.Put(z)
		if err := z.Reset(bytes.NewReader(src)); err != nil {
			return dst, err
		}
		return readLimited(dst, z, limit)
	}
	return dst, fmt.Errorf("expected codec none, gzip, snappy, lz4 or zstd, found number %d", codec)
}

func readLimited(dst []byte, r io.Reader, limit int) ([]byte, error) {
	if cap(dst) == 0 {
		dst = make([]byte, 0, min(limit, 32<<10))
	}
	for {
		if len(dst) == cap(dst) {
			if len(dst) >= limit {
				// Full: only the end may follow.
				var probe [1]byte
				if n, err := io.ReadFull(r, probe[:]); n > 0 {
					return dst, errTooLarge
				} else if !errors.Is(err, io.EOF) {
					return dst, err
				}
				return dst, nil
			}
			grown := make([]byte, len(dst), min(2*cap(dst), limit))
			copy(grown, dst)
			dst = grown
		}
		n, err := r.Read(dst[len(dst):min(cap(dst), max(limit, len(dst)+1))])
		dst = dst[:len(dst)+n]
		if len(dst) > limit {
			return dst, errTooLarge
		}
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// xerial begins the framing that Java's producers put around snappy blocks.
const xerial = "\x82SNAPPY\x00"

func decompressSnappy(dst, src []byte, limit int) ([]byte, error) {
	if len(src) == 0 {
		return dst, nil // how kafka-go writes no content
	}
	if !bytes.HasPrefix(src, []byte(xerial)) {
		return appendSnappy(dst, src, limit)
	}
	if len(src) < 16 {
		return dst, io.ErrUnexpectedEOF
	}
	for src = src[16:]; len(src) > 0; {
		if len(src) < 4 {
			return dst, io.ErrUnexpectedEOF
		}
		n := int64(binary.BigEndian.Uint32(src))
		if src = src[4:]; n > int64(len(src)) {
			return dst, io.ErrUnexpectedEOF
		}
		var err error
		if dst, err = appendSnappy(dst, src[:n], limit); err != nil {
			return dst, err
		}
		src = src[n:]
	}
	return dst, nil
}

func appendSnappy(dst, block []byte, limit int) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return dst, err
	}
	if n > limit-len(dst) {
		return dst, errTooLarge
	}
	from := len(dst)
	if cap(dst)-from < n {
		grown := make([]byte, from, max(from+n, min(2*cap(dst), limit)))
		copy(grown, dst)
		dst = grown
	}
	if n == 0 {
		return dst, nil
	}
	if _, err := snappy.Decode(dst[from:from+n], block); err != nil {
		return dst, err
	}
	return dst[:from+n], nil
}

// codecName is what Kafka calls a codec.
func codecName(code int8) string { return compress.Compression(code).String() }
