package cborjson

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Major types of data items.
const (
	unsigned = iota
	negative
	byteText
	text
	array
	mapping
	tag
	simple
)

// indefinite is the additional information of an item without a length, and of
// the break that ends it.
const indefinite = 31

const breakByte = simple<<5 | indefinite

// head is the beginning of a data item.
type head struct {
	major byte
	info  byte
	value uint64 // the argument; of simple values the bits of floats
}

// head reads the beginning of the item at hand. The data are well-formed, which
// the library checked; the errors are there in case the two ever disagree.
func (d *Decoder) head() (head, error) {
	if d.at >= len(d.data) {
		return head{}, errors.New("the data end in the middle of an item")
	}
	first := d.data[d.at]
	h := head{major: first >> 5, info: first & 31}
	size := 0
	switch {
	case h.info < 24:
		h.value = uint64(h.info)
	case h.info < 28:
		size = 1 << (h.info - 24)
	case h.info < indefinite:
		return head{}, fmt.Errorf("the item begins with the reserved byte %#x", first)
	}
	rest := d.data[d.at+1:]
	if len(rest) < size {
		return head{}, errors.New("the data end in the middle of an item")
	}
	switch size {
	case 1:
		h.value = uint64(rest[0])
	case 2:
		h.value = uint64(binary.BigEndian.Uint16(rest))
	case 4:
		h.value = uint64(binary.BigEndian.Uint32(rest))
	case 8:
		h.value = binary.BigEndian.Uint64(rest)
	}
	d.at += 1 + size
	return h, nil
}

// item appends the item at hand as a JSON value.
func (d *Decoder) item(dst []byte) ([]byte, error) {
	if len(dst) > d.limit {
		return dst, ErrTooLarge
	}
	h, err := d.head()
	if err != nil {
		return dst, err
	}
	switch h.major {
	case unsigned:
		return strconv.AppendUint(dst, h.value, 10), nil
	case negative:
		return appendNegative(dst, h.value), nil
	case byteText:
		b, err := d.bytes(h)
		if err != nil {
			return dst, err
		}
		return appendBase64(dst, base64.RawURLEncoding, b), nil
	case text:
		return d.text(dst, h)
	case array:
		return d.array(dst, h)
	case mapping:
		return d.mapping(dst, h)
	case tag:
		return d.tagged(dst, h.value)
	}
	return appendSimple(dst, h), nil
}

// appendNegative appends -1-n, which needs 65 bits for the largest n.
func appendNegative(dst []byte, n uint64) []byte {
	dst = append(dst, '-')
	if n == math.MaxUint64 {
		return append(dst, "18446744073709551616"...)
	}
	return strconv.AppendUint(dst, n+1, 10)
}

func appendBase64(dst []byte, encoding *base64.Encoding, b []byte) []byte {
	dst = append(dst, '"')
	dst = encoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// appendSimple appends a boolean, null or float. JSON has neither undefined nor
// other simple values nor NaN and infinities: they are null.
func appendSimple(dst []byte, h head) []byte {
	switch h.info {
	case 20:
		return append(dst, "false"...)
	case 21:
		return append(dst, "true"...)
	case 25:
		return appendFloat(dst, halfFloat(uint16(h.value)), 32)
	case 26:
		return appendFloat(dst, float64(math.Float32frombits(uint32(h.value))), 32)
	case 27:
		return appendFloat(dst, math.Float64frombits(h.value), 64)
	}
	return append(dst, "null"...)
}

func appendFloat(dst []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

// halfFloat returns the value of a float of 16 bits (IEEE 754 binary16).
func halfFloat(bits uint16) float64 {
	exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)
	f := math.Ldexp(fraction, -24)
	switch exponent {
	case 0:
	case 0x1f:
		f = math.Inf(1)
		if fraction != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(1024+fraction, exponent-25)
	}
	if bits&0x8000 != 0 {
		return -f
	}
	return f
}

// bytes returns the content of a byte or text string, valid until the next call.
func (d *Decoder) bytes(h head) ([]byte, error) {
	if h.info != indefinite {
		if h.value > uint64(len(d.data)-d.at) {
			return nil, errors.New("the data end in the middle of a string")
		}
		b := d.data[d.at : d.at+int(h.value)]
		d.at += len(b)
		return b, nil
	}
	d.room = d.room[:0]
	for !d.ended() {
		chunk, err := d.head()
		if err != nil {
			return nil, err
		}
		if chunk.major != h.major || chunk.info == indefinite {
			return nil, errors.New("a string has a chunk of another type")
		}
		b, err := d.bytes(chunk)
		if err != nil {
			return nil, err
		}
		d.room = append(d.room, b...)
	}
	return d.room, nil
}

// ended reports whether an item without a length ends here, and goes beyond it.
func (d *Decoder) ended() bool {
	if d.at < len(d.data) && d.data[d.at] == breakByte {
		d.at++
		return true
	}
	return false
}

func (d *Decoder) text(dst []byte, h head) ([]byte, error) {
	b, err := d.bytes(h)
	if err != nil {
		return dst, err
	}
	if !utf8.Valid(b) {
		return dst, errors.New("a text string is not UTF-8")
	}
	return appendText(dst, b), nil
}

func appendText(dst, b []byte) []byte {
	v := event.String(event.View(b))
	return v.AppendJSON(dst)
}

func (d *Decoder) array(dst []byte, h head) ([]byte, error) {
	dst = append(dst, '[')
	for i := uint64(0); !d.done(h, i); i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = d.item(dst); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// done reports whether a container that has i members so far is complete.
func (d *Decoder) done(h head, i uint64) bool {
	if h.info == indefinite {
		return d.ended()
	}
	return i == h.value
}

func (d *Decoder) mapping(dst []byte, h head) ([]byte, error) {
	dst = append(dst, '{')
	for i := uint64(0); !d.done(h, i); i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = d.key(dst); err != nil {
			return dst, err
		}
		dst = append(dst, ':')
		if dst, err = d.item(dst); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// key appends the item at hand as a key: a text as it is, other scalars as the
// text of their JSON. An array or a map is no key in JSON.
func (d *Decoder) key(dst []byte) ([]byte, error) {
	start := len(dst)
	dst, err := d.item(dst)
	if err != nil {
		return dst, err
	}
	switch dst[start] {
	case '"':
		return dst, nil
	case '{', '[':
		return dst, errors.New("a key is an array or a map: expected a text or another scalar")
	}
	dst = append(dst, 0, '"') // Room for the quote before it.
	copy(dst[start+1:], dst[start:len(dst)-2])
	dst[start] = '"'
	dst[len(dst)-1] = '"'
	return dst, nil
}
