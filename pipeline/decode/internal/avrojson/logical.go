package avrojson

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"strconv"
	"time"
)

// Seconds since 1970 of the years that RFC 3339 can write, 0000 to 9999.
const (
	firstSecond = -62167219200
	lastSecond  = 253402300799
)

const secondsOfDay = 24 * 60 * 60

// appendInteger appends an int or long by what it stands for. A time that has no
// RFC 3339 text stays a number.
func appendInteger(dst []byte, n *node, i int64) []byte {
	switch n.kind {
	case date:
		if i >= firstSecond/secondsOfDay && i <= lastSecond/secondsOfDay {
			return appendTime(dst, time.Unix(i*secondsOfDay, 0), time.DateOnly)
		}
	case timeMillis, timeMicros:
		if i >= 0 && i < secondsOfDay*n.second {
			return appendTime(dst, split(i, n.second), [...]string{"15:04:05.000", "15:04:05.000000"}[n.kind-timeMillis])
		}
	case instant, localInstant:
		t := split(i, n.second)
		if s := t.Unix(); s < firstSecond || s > lastSecond {
			break
		}
		dst = appendTime(dst, t, n.layout)
		if n.kind == instant {
			dst[len(dst)-1] = 'Z'
			dst = append(dst, '"')
		}
		return dst
	default: // It stands for itself.
	}
	return strconv.AppendInt(dst, i, 10)
}

// split returns the time that is i units since 1970.
func split(i, second int64) time.Time {
	s, rest := i/second, i%second
	return time.Unix(s, rest*(1e9/second))
}

func appendTime(dst []byte, t time.Time, layout string) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, layout)
	return append(dst, '"')
}

// maxDecimal bounds the bytes of a decimal: the digits of longer ones are more
// than the scan takes for a number.
const maxDecimal = 200

// appendDecimal appends a number given in two's complement, with the point before
// the last scale digits.
func appendDecimal(dst, b []byte, scale int) ([]byte, error) {
	if len(b) > maxDecimal {
		return dst, errors.New("a decimal has more than 200 bytes")
	}
	var room [24]byte
	var digits []byte
	if len(b) <= 8 {
		var v int64
		if len(b) > 0 {
			v = int64(int8(b[0]))
			for _, c := range b[1:] {
				v = v<<8 | int64(c)
			}
		}
		digits = strconv.AppendInt(room[:0], v, 10)
	} else {
		n := new(big.Int).SetBytes(b)
		if b[0] >= 0x80 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		digits = n.Append(room[:0], 10)
	}
	if digits[0] == '-' {
		dst, digits = append(dst, '-'), digits[1:]
	}
	if scale == 0 {
		return append(dst, digits...), nil
	}
	if missing := scale + 1 - len(digits); missing > 0 {
		start := len(dst)
		dst = slices.Grow(dst, scale+2)
		for range missing {
			dst = append(dst, '0')
		}
		dst = append(dst, digits...)
		return insertPoint(dst, start+1), nil
	}
	dst = append(dst, digits...)
	return insertPoint(dst, len(dst)-scale), nil
}

// insertPoint inserts a point at i.
func insertPoint(dst []byte, i int) []byte {
	dst = append(dst, 0)
	copy(dst[i+1:], dst[i:])
	dst[i] = '.'
	return dst
}

func appendUUID(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = append(hex.AppendEncode(dst, b[:4]), '-')
	dst = append(hex.AppendEncode(dst, b[4:6]), '-')
	dst = append(hex.AppendEncode(dst, b[6:8]), '-')
	dst = append(hex.AppendEncode(dst, b[8:10]), '-')
	return append(hex.AppendEncode(dst, b[10:16]), '"')
}

// appendDuration appends months, days and milliseconds as ISO 8601 text, such as
// P1M2DT3.004S.
func appendDuration(dst, b []byte) []byte {
	months, days, millis := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	dst = append(dst, `"P`...)
	dst = append(strconv.AppendUint(dst, uint64(months), 10), 'M')
	dst = append(strconv.AppendUint(dst, uint64(days), 10), 'D', 'T')
	dst = append(strconv.AppendUint(dst, uint64(millis/1000), 10), '.')
	rest := millis % 1000
	dst = append(dst, '0'+byte(rest/100), '0'+byte(rest/10%10), '0'+byte(rest%10))
	return append(dst, 'S', '"')
}
