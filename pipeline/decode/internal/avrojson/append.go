package avrojson

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// maxDepth is how many values may lie inside each other: what the scan that
// follows takes.
const maxDepth = 64

// ErrTooLarge is returned for what would become more JSON than permitted: an
// array of nulls has any length in few bytes.
var ErrTooLarge = errors.New("the JSON would be larger than permitted")

var errShort = errors.New("the data end in the middle of a value")

// reader is a value in progress.
type reader struct {
	data  []byte
	at    int
	limit int // length of the output that must not be passed
}

// Append appends the JSON of one value to dst, at most limit bytes of it. After
// an error dst holds a part of it.
func (p *Plan) Append(dst, data []byte, limit int) ([]byte, error) {
	r := reader{data: data, limit: len(dst) + limit}
	dst, err := r.value(dst, p.root, 0)
	if err == nil && r.at < len(data) {
		err = fmt.Errorf("expected the end of the value, found %d bytes more", len(data)-r.at)
	}
	if err == nil && len(dst) > r.limit {
		err = ErrTooLarge
	}
	if err != nil {
		return dst, fmt.Errorf("reading Avro: offset %d: %w", r.at, err)
	}
	return dst, nil
}

// value appends the value at hand.
func (r *reader) value(dst []byte, n *node, depth int) ([]byte, error) {
	switch {
	case len(dst) > r.limit:
		return dst, ErrTooLarge
	case depth > maxDepth:
		return dst, fmt.Errorf("more than %d values lie inside each other", maxDepth)
	}
	switch n.kind {
	case null:
		return append(dst, "null"...), nil
	case boolean:
		b, err := r.take(1)
		if err != nil {
			return dst, err
		}
		return strconv.AppendBool(dst, b[0] != 0), nil
	case float:
		b, err := r.take(4)
		if err != nil {
			return dst, err
		}
		return appendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 32), nil
	case double:
		b, err := r.take(8)
		if err != nil {
			return dst, err
		}
		return appendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(b)), 64), nil
	case bytes, text, decimal:
		b, err := r.sized()
		if err != nil {
			return dst, err
		}
		return appendBytes(dst, n, b)
	case fixed, fixedDecimal, fixedUUID, duration:
		b, err := r.take(n.size)
		if err != nil {
			return dst, err
		}
		return appendBytes(dst, n, b)
	case record:
		return r.record(dst, n, depth)
	case array, mapping:
		return r.blocks(dst, n, depth)
	default:
		return r.number(dst, n, depth)
	}
}

// number appends what is encoded by a number: an integer, a symbol, or the value
// of a branch of a union.
func (r *reader) number(dst []byte, n *node, depth int) ([]byte, error) {
	i, err := r.long()
	if err != nil {
		return dst, err
	}
	switch n.kind {
	case enum:
		if i < 0 || i >= int64(len(n.keys)) {
			return dst, fmt.Errorf("expected one of %d symbols, found number %d", len(n.keys), i)
		}
		return append(dst, n.keys[i]...), nil
	case union:
		if i < 0 || i >= int64(len(n.parts)) {
			return dst, fmt.Errorf("expected one of %d branches of a union, found number %d", len(n.parts), i)
		}
		return r.value(dst, n.parts[i], depth+1)
	default:
		return appendInteger(dst, n, i), nil
	}
}

// take returns the next n bytes.
func (r *reader) take(n int) ([]byte, error) {
	if n > len(r.data)-r.at {
		return nil, errShort
	}
	b := r.data[r.at : r.at+n]
	r.at += n
	return b, nil
}

// long reads a number of variable length, in which small ones of both signs are
// short (zig-zag).
func (r *reader) long() (int64, error) {
	u, n := binary.Uvarint(r.data[r.at:])
	switch {
	case n == 0:
		return 0, errShort
	case n < 0:
		return 0, errors.New("a number has more than 64 bits")
	}
	r.at += n
	return int64(u>>1) ^ -int64(u&1), nil
}

// sized returns the next bytes that stand after their length.
func (r *reader) sized() ([]byte, error) {
	n, err := r.long()
	if err != nil {
		return nil, err
	}
	if n < 0 || n > int64(len(r.data)-r.at) {
		return nil, fmt.Errorf("expected a length of at most %d, found %d", len(r.data)-r.at, n)
	}
	return r.take(int(n))
}

func (r *reader) record(dst []byte, n *node, depth int) ([]byte, error) {
	dst = append(dst, '{')
	for i, part := range n.parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, n.keys[i]...)
		var err error
		if dst, err = r.value(dst, part, depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// blocks appends an array or a map, which comes in blocks of counted elements;
// before a block of a negative count stands its size, too.
func (r *reader) blocks(dst []byte, n *node, depth int) ([]byte, error) {
	open, closing := byte('['), byte(']')
	if n.kind == mapping {
		open, closing = '{', '}'
	}
	dst = append(dst, open)
	first := true
	for {
		count, err := r.long()
		if err != nil {
			return dst, err
		}
		if count == 0 {
			return append(dst, closing), nil
		}
		if count < 0 {
			if count == math.MinInt64 {
				return dst, errors.New("a block has an impossible count")
			}
			count = -count
			if _, err := r.long(); err != nil {
				return dst, err
			}
		}
		for ; count > 0; count-- {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			if n.kind == mapping {
				key, err := r.sized()
				if err != nil {
					return dst, err
				}
				if !utf8.Valid(key) {
					return dst, errors.New("a key is not UTF-8")
				}
				dst = append(appendText(dst, key), ':')
			}
			if dst, err = r.value(dst, n.parts[0], depth+1); err != nil {
				return dst, err
			}
		}
	}
}

// appendBytes appends a text, or bytes by what they stand for.
func appendBytes(dst []byte, n *node, b []byte) ([]byte, error) {
	switch n.kind {
	case text:
		if !utf8.Valid(b) {
			return dst, errors.New("a string is not UTF-8")
		}
		return appendText(dst, b), nil
	case decimal, fixedDecimal:
		return appendDecimal(dst, b, n.scale)
	case fixedUUID:
		return appendUUID(dst, b), nil
	case duration:
		return appendDuration(dst, b), nil
	default:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, b)
		return append(dst, '"'), nil
	}
}

// appendFloat appends a number; JSON has no NaN and no infinities: they are null.
func appendFloat(dst []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}
