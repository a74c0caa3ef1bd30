package event

import (
	"math/bits"
	"strconv"
	"unicode/utf8"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// AppendJSON appends the event as nested ECS JSON on one line: fields in
// document order, then the vendor's own fields under their root. A field whose
// dictionary entry is an array is written as one. It allocates only to grow dst.
func (e *Event) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	e.vendorDone = len(e.extras) == 0
	var open *ecs.Place // of the field before
	for w, word := range e.present {
		for ; word != 0; word &= word - 1 {
			id := e.layout.At(w<<6 + bits.TrailingZeros64(word))
			place := e.layout.Place(id)
			dst = e.appendLevels(dst, open, place)
			dst = append(dst, place.Key...)
			dst = appendValue(dst, &e.vals[e.pos[id]], e.dict.Field(id).Array)
			open = place
		}
	}
	if open != nil {
		dst = e.appendClose(dst, open, 0)
	}
	if !e.vendorDone {
		if open != nil {
			dst = append(dst, ',')
		}
		dst = appendString(dst, e.vendor)
		dst = append(dst, ':', '{')
		dst = e.appendExtras(dst, false)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendLevels closes the objects that the previous field needed and this one
// does not, and opens those that are new.
func (e *Event) appendLevels(dst []byte, prev, next *ecs.Place) []byte {
	common := 0
	if prev != nil {
		for common < len(prev.Objects) && common < len(next.Objects) && prev.Objects[common] == next.Objects[common] {
			common++
		}
		dst = e.appendClose(dst, prev, common)
		dst = append(dst, ',')
	}
	for _, open := range next.Open[common:] {
		dst = append(dst, open...)
	}
	return dst
}

// appendClose closes the objects of place down to depth.
func (e *Event) appendClose(dst []byte, place *ecs.Place, depth int) []byte {
	for level := len(place.Objects) - 1; level >= depth; level-- {
		if level == 0 && !e.vendorDone && e.isVendor(place) {
			dst = e.appendExtras(dst, true)
		}
		dst = append(dst, '}')
	}
	return dst
}

// isVendor reports whether place stands under the vendor's root.
func (e *Event) isVendor(place *ecs.Place) bool {
	root, ok := e.layout.Object(e.vendor)
	return ok && place.Objects[0] == root
}

func (e *Event) appendExtras(dst []byte, comma bool) []byte {
	e.vendorDone = true
	for i := range e.extras {
		if comma {
			dst = append(dst, ',')
		}
		comma = true
		dst = append(dst, '"')
		dst = append(dst, e.extras[i].key...)
		dst = append(dst, '"', ':')
		dst = append(dst, e.extras[i].json...)
	}
	return dst
}

// AppendJSON appends the value as JSON.
func (v *Value) AppendJSON(dst []byte) []byte { return appendValue(dst, v, false) }

func appendValue(dst []byte, v *Value, array bool) []byte {
	if v.form == list {
		dst = append(dst, '[')
		for i, s := range v.List() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, s)
		}
		return append(dst, ']')
	}
	if array && v.kind != ecs.JSON {
		dst = append(dst, '[')
		dst = appendScalar(dst, v)
		return append(dst, ']')
	}
	return appendScalar(dst, v)
}

func appendScalar(dst []byte, v *Value) []byte {
	switch v.kind {
	case ecs.String:
		if v.form == clean {
			dst = append(dst, '"')
			dst = append(dst, v.Str()...)
			return append(dst, '"')
		}
		return appendString(dst, v.Str())
	case ecs.Int:
		return strconv.AppendInt(dst, v.Int(), 10)
	case ecs.Float:
		return AppendFloat(dst, v.Float())
	case ecs.Bool:
		return strconv.AppendBool(dst, v.Bool())
	case ecs.Time:
		dst = append(dst, '"')
		dst = AppendTime(dst, v.Time())
		return append(dst, '"')
	default:
		return append(dst, v.Str()...)
	}
}

// AppendFloat appends a number in the shortest form that JSON and
// Elasticsearch read back exactly, without an exponent in the usual range
// (Splunk does not read exponents in every place).
func AppendFloat(dst []byte, f float64) []byte {
	if a := max(f, -f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD; the raw bytes are kept where the record is.
func AppendString(dst []byte, s string) []byte { return appendString(dst, s) }

const hexDigits = "0123456789abcdef"

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := plainEnd(s, 0); i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\ufffd"...)
			i++
			start = i
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
		i = plainEnd(s, i)
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
