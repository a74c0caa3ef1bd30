package cborjson

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"net/netip"
	"strconv"
	"time"
)

// Tags that change how their content is written (RFC 8949, section 3.4, and the
// IANA registry). The content of others is written as if it had none.
const (
	tagEpoch    = 1
	tagBig      = 2
	tagBigMinus = 3
	tagDecimal  = 4
	tagBase64   = 22
	tagHex      = 23
	tagUUID     = 37
	tagIPv4     = 52
	tagIPv6     = 54
)

// maxBig bounds the bytes of a big number: the digits of longer ones are more
// than the scan takes for a number.
const maxBig = 256

// maxExponent bounds the exponent of a decimal fraction: within it a float is
// finite.
const maxExponent = 300

// tagged appends the content of a tag.
func (d *Decoder) tagged(dst []byte, number uint64) ([]byte, error) {
	switch number {
	case tagEpoch:
		return d.epoch(dst)
	case tagBig, tagBigMinus:
		return d.big(dst, number == tagBigMinus)
	case tagDecimal:
		return d.decimal(dst)
	case tagBase64, tagHex, tagUUID, tagIPv4, tagIPv6:
		return d.taggedBytes(dst, number)
	}
	return d.item(dst)
}

// taggedBytes appends a byte string in the form that its tag asks for. What is
// no byte string, or has not the length of what the tag says, is written as
// without a tag.
func (d *Decoder) taggedBytes(dst []byte, number uint64) ([]byte, error) {
	if d.at < len(d.data) && d.data[d.at]>>5 != byteText {
		return d.item(dst)
	}
	h, err := d.head()
	if err != nil {
		return dst, err
	}
	b, err := d.bytes(h)
	if err != nil {
		return dst, err
	}
	switch {
	case number == tagBase64:
		return appendBase64(dst, base64.StdEncoding, b), nil
	case number == tagHex:
		dst = append(dst, '"')
		return append(hex.AppendEncode(dst, b), '"'), nil
	case number == tagUUID && len(b) == 16:
		return appendUUID(dst, b), nil
	case number == tagIPv4 && len(b) == 4, number == tagIPv6 && len(b) == 16:
		address, _ := netip.AddrFromSlice(b)
		dst = append(dst, '"')
		return append(address.AppendTo(dst), '"'), nil
	}
	return appendBase64(dst, base64.RawURLEncoding, b), nil
}

func appendUUID(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = append(hex.AppendEncode(dst, b[:4]), '-')
	dst = append(hex.AppendEncode(dst, b[4:6]), '-')
	dst = append(hex.AppendEncode(dst, b[6:8]), '-')
	dst = append(hex.AppendEncode(dst, b[8:10]), '-')
	return append(hex.AppendEncode(dst, b[10:16]), '"')
}

// Seconds since 1970 of the years that RFC 3339 can write, 0000 to 9999.
const (
	firstSecond = -62167219200
	lastSecond  = 253402300799
)

// epoch appends a time in seconds since 1970 as RFC 3339 text. A time that has
// no such text stays a number.
func (d *Decoder) epoch(dst []byte) ([]byte, error) {
	if d.at >= len(d.data) {
		return dst, errors.New("the data end in the middle of an item")
	}
	start := d.at
	h, err := d.head()
	if err != nil {
		return dst, err
	}
	var seconds, nanoseconds int64
	switch {
	case h.major == unsigned && h.value <= lastSecond:
		seconds = int64(h.value)
	case h.major == negative && h.value < -firstSecond:
		seconds = -1 - int64(h.value)
	case h.major == simple && h.info >= 25 && h.info <= 27:
		f := [...]float64{halfFloat(uint16(h.value)), float64(math.Float32frombits(uint32(h.value))), math.Float64frombits(h.value)}[h.info-25]
		whole, fraction := math.Modf(f)
		if !(whole >= firstSecond && whole <= lastSecond-1) {
			return appendSimple(dst, h), nil
		}
		// A double has microseconds for the times of this age, no more.
		seconds, nanoseconds = int64(whole), int64(math.Round(fraction*1e6))*1e3
	default:
		d.at = start
		return d.item(dst)
	}
	dst = append(dst, '"')
	dst = time.Unix(seconds, nanoseconds).UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"'), nil
}

// big appends a number that is given by its bytes.
func (d *Decoder) big(dst []byte, minus bool) ([]byte, error) {
	h, err := d.head()
	if err != nil {
		return dst, err
	}
	if h.major != byteText {
		return dst, errors.New("a big number is not given by a byte string")
	}
	b, err := d.bytes(h)
	if err != nil {
		return dst, err
	}
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) <= 8 {
		var whole [8]byte
		copy(whole[8-len(b):], b)
		n := binary.BigEndian.Uint64(whole[:])
		if minus {
			return appendNegative(dst, n), nil
		}
		return strconv.AppendUint(dst, n, 10), nil
	}
	if len(b) > maxBig {
		return dst, errors.New("a big number has more than 256 bytes")
	}
	n := new(big.Int).SetBytes(b)
	if minus {
		n.Not(n) // -1-n
	}
	return n.Append(dst, 10), nil
}

// decimal appends a decimal fraction, [exponent, mantissa], as a number.
func (d *Decoder) decimal(dst []byte) ([]byte, error) {
	wrong := errors.New("a decimal fraction is not an array of an exponent and an integer")
	h, err := d.head()
	if err != nil {
		return dst, err
	}
	if h.major != array || h.info == indefinite || h.value != 2 {
		return dst, wrong
	}
	exponent, err := d.head()
	if err != nil {
		return dst, err
	}
	if exponent.major > negative || exponent.value > maxExponent {
		return dst, errors.New("the exponent of a decimal fraction is not within 300")
	}
	if d.at >= len(d.data) {
		return dst, wrong
	}
	switch next := d.data[d.at]; next >> 5 {
	case unsigned, negative:
	case tag:
		if number := next & 31; number != tagBig && number != tagBigMinus {
			return dst, wrong
		}
	default:
		return dst, wrong
	}
	if dst, err = d.item(dst); err != nil {
		return dst, err
	}
	dst = append(dst, 'e')
	if exponent.major == negative {
		return appendNegative(dst, exponent.value), nil
	}
	return strconv.AppendUint(dst, exponent.value, 10), nil
}
