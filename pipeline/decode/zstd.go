package decode

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// zstdMagic begins a frame of zstd (RFC 8878).
const zstdMagic = "\x28\xb5\x2f\xfd"

// unzstd decodes zstd.
type unzstd struct{ reader *zstd.Decoder }

func newUnzstd() (*unzstd, error) {
	reader, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxDecoded), zstd.WithDecoderMaxWindow(maxDecoded))
	if err != nil {
		return nil, fmt.Errorf("setting limits of zstd: %w", err)
	}
	return &unzstd{reader}, nil
}

func (z *unzstd) first() []byte { return []byte{zstdMagic[0]} }

func (z *unzstd) detect(value []byte) bool { return bytes.HasPrefix(value, []byte(zstdMagic)) }

func (z *unzstd) append(_ context.Context, dst, value []byte) ([]byte, error) {
	out, err := z.reader.DecodeAll(value, dst)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded), len(out) > maxDecoded:
		return dst, tooLarge("zstd")
	case err != nil:
		return dst, undecodable("zstd", err)
	}
	return out, nil
}
