package decode

import (
	"bytes"
	"context"
	"errors"

	"github.com/edrwatch/edrwatch/pipeline/decode/internal/cborjson"
)

// selfDescribed is the tag that marks CBOR as such (RFC 8949, section 3.4.6).
const selfDescribed = "\xd9\xd9\xf7"

// cborValue decodes CBOR that is an array or a map, or is marked as CBOR.
type cborValue struct{ json *cborjson.Decoder }

func newCBOR() (*cborValue, error) {
	json, err := cborjson.NewDecoder()
	return &cborValue{json}, err
}

// first lists the heads of arrays and maps, 0x80 to 0xbf: in UTF-8 no text begins
// with them.
func (c *cborValue) first() []byte {
	heads := []byte{selfDescribed[0]}
	for b := byte(0x80); b < 0xc0; b++ {
		heads = append(heads, b)
	}
	return heads
}

func (c *cborValue) detect(value []byte) bool {
	return value[0]&0xc0 == 0x80 || bytes.HasPrefix(value, []byte(selfDescribed))
}

func (c *cborValue) append(_ context.Context, dst, value []byte) ([]byte, error) {
	out, err := c.json.Append(dst, value, maxDecoded)
	switch {
	case errors.Is(err, cborjson.ErrTooLarge):
		return out, tooLarge("cbor")
	case err != nil:
		return out, undecodable("cbor", err)
	}
	return out, nil
}
