package mappings

import (
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// text is a scalar of a record as text. Clean text is valid UTF-8 without
// anything that JSON escapes.
type text struct {
	s     string
	clean bool
}

// transform makes one text of another; false means that it cannot, and the
// field stays absent. It may use the event's scratch room.
type transform func(e *event.Event, t text) (text, bool)

// transformByName returns a conversion that files name in as:.
func transformByName(name string) (transform, bool) {
	switch name {
	case "lower":
		return func(e *event.Event, t text) (text, bool) { return changeCase(e, t, strings.ToLower, 'A'), true }, true
	case "upper":
		return func(e *event.Event, t text) (text, bool) { return changeCase(e, t, strings.ToUpper, 'a'), true }, true
	case "trim":
		return func(_ *event.Event, t text) (text, bool) { t.s = strings.TrimSpace(t.s); return t, t.s != "" }, true
	case "basename":
		return basename, true
	case "hex":
		return writeHex, true
	case "hex_number":
		return readHex, true
	case "utf16_hex":
		return decodeUTF16Hex, true
	case "service_key":
		return serviceKey, true
	case "service_state":
		return serviceState, true
	case "first_hex":
		return firstHex, true
	case "decimal":
		return decimal, true
	case "exception":
		return exceptionCode, true
	case "channel_version":
		return channelVersion, true
	case "ip":
		return checkIP, true
	case "image_path":
		return imagePath, true
	case "uint32":
		return unsigned32, true
	case "domain":
		return afterFirstDot, true
	case "short_host":
		return beforeFirstDot, true
	}
	return nil, false
}

func transformNames() []string {
	return []string{"lower", "upper", "trim", "basename", "hex", "hex_number", "utf16_hex", "service_key", "service_state", "first_hex", "decimal", "exception", "channel_version", "ip", "uint32", "image_path", "domain", "short_host"}
}

// lossyTransforms lists those that do not tell all that the raw value does.
func lossyTransforms() []string {
	return []string{"basename", "service_key", "service_state", "first_hex", "channel_version", "image_path", "domain", "short_host"}
}

// changeCase folds ASCII in scratch room; from is the first letter to change.
func changeCase(e *event.Event, t text, whole func(string) string, from byte) text {
	change := false
	for i := range len(t.s) {
		c := t.s[i]
		if c >= utf8.RuneSelf {
			return text{whole(t.s), t.clean}
		}
		change = change || c-from < 26
	}
	if !change {
		return t
	}
	out := e.Scratch(len(t.s))
	for _, c := range []byte(t.s) {
		if c-from < 26 {
			c ^= 0x20
		}
		out = append(out, c)
	}
	return text{event.View(out), t.clean}
}

// basename is the last part of a path of Windows or Unix.
func basename(_ *event.Event, t text) (text, bool) {
	t.s = strings.Trim(t.s, `"`)
	if i := strings.LastIndexAny(t.s, `/\`); i >= 0 {
		t.s = t.s[i+1:]
	}
	return t, t.s != ""
}

// writeHex writes a whole number as Windows status codes are written:
// 0xc0000001. Negative numbers are 32-bit codes read as signed.
func writeHex(e *event.Event, t text) (text, bool) {
	if len(t.s) > 2 && (t.s[:2] == "0x" || t.s[:2] == "0X") {
		return changeCase(e, t, strings.ToLower, 'A'), true
	}
	var code uint64
	if n, err := strconv.ParseInt(t.s, 10, 64); err == nil {
		code = uint64(n)
		if n < 0 && n >= -1<<31 {
			code = uint64(uint32(n))
		}
	} else if code, err = strconv.ParseUint(t.s, 10, 64); err != nil {
		return t, false
	}
	out := append(e.Scratch(18), "0x"...)
	for width := uint64(1) << 28; width > code && width > 1; width >>= 4 {
		out = append(out, '0')
	}
	out = strconv.AppendUint(out, code, 16)
	return text{event.View(out), true}, true
}

// readHex writes a number given in hexadecimal digits, with or without 0x, in
// decimal.
func readHex(e *event.Event, t text) (text, bool) {
	s := t.s
	if len(s) > 2 && (s[:2] == "0x" || s[:2] == "0X") {
		s = s[2:]
	}
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return t, false
	}
	return text{event.View(strconv.AppendUint(e.Scratch(20), n, 10)), true}, true
}

// decimal leaves the zeros before a number away.
func decimal(_ *event.Event, t text) (text, bool) {
	if _, ok := digits(t.s); !ok || t.s == "" {
		return t, false
	}
	t.s = strings.TrimLeft(t.s[:len(t.s)-1], "0") + t.s[len(t.s)-1:]
	return t, true
}

// unsigned32 lets a number of 32 bits pass, unless it is the largest, by which
// Windows means that there is none.
func unsigned32(_ *event.Event, t text) (text, bool) {
	n, err := strconv.ParseUint(t.s, 10, 32)
	return t, err == nil && n != math.MaxUint32
}

// channelVersion writes an entry of Falcon's ConfigStateData, such as
// 1,123,20, as channel and version in decimal: 291:32. That the second and
// third part are these in hexadecimal digits is inferred from sensors' own
// downloads.
func channelVersion(e *event.Event, t text) (text, bool) {
	_, rest, ok := strings.Cut(t.s, ",")
	channel, version, ok2 := strings.Cut(rest, ",")
	c, err := strconv.ParseUint(channel, 16, 64)
	v, err2 := strconv.ParseUint(version, 16, 64)
	if !ok || !ok2 || err != nil || err2 != nil {
		return t, false
	}
	out := append(strconv.AppendUint(e.Scratch(41), c, 10), ':')
	return text{event.View(strconv.AppendUint(out, v, 10)), true}, true
}

// exceptionCode writes an exception code, which Windows gives in hexadecimal
// digits with or without 0x, as 0xc0000005.
func exceptionCode(e *event.Event, t text) (text, bool) {
	number, ok := readHex(e, t)
	if !ok {
		return t, false
	}
	return writeHex(e, number)
}

// firstHex takes the first hexadecimal code with 0x out of a text, such as the
// bug check in "0x00000050 (0x..., 0x...)".
func firstHex(_ *event.Event, t text) (text, bool) {
	i := strings.Index(t.s, "0x")
	if i < 0 {
		return t, false
	}
	end := i + 2
	for end < len(t.s) && (t.s[end]-'0' < 10 || t.s[end]|0x20-'a' < 6) {
		end++
	}
	return text{t.s[i:end], true}, end > i+2
}

// decodeUTF16Hex reads hexadecimal digits of little-endian UTF-16, as the
// Windows event log shows binary data, up to a NUL character.
func decodeUTF16Hex(e *event.Event, t text) (text, bool) {
	if len(t.s)%4 != 0 || len(t.s) == 0 || len(t.s) > 4096 {
		return t, false
	}
	var units [1024]uint16
	count := 0
	var quad [2]byte
	for i := 0; i < len(t.s); i += 4 {
		if _, err := hex.Decode(quad[:], []byte(t.s[i:i+4])); err != nil {
			return t, false
		}
		unit := uint16(quad[0]) | uint16(quad[1])<<8
		if unit == 0 {
			break
		}
		units[count] = unit
		count++
	}
	out := e.Scratch(3 * count)
	for i := 0; i < count; i++ {
		r := rune(units[i])
		if utf16.IsSurrogate(r) && i+1 < count {
			if pair := utf16.DecodeRune(r, rune(units[i+1])); pair != utf8.RuneError {
				r = pair
				i++
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return text{s: event.View(out)}, count > 0
}

// serviceKey takes the key name of a service out of the binary data of the
// Service Control Manager's event 7036, UTF-16 of such as "CSFalconService/4".
// Unlike the texts of the event it is not translated.
func serviceKey(e *event.Event, t text) (text, bool) {
	t, ok := decodeUTF16Hex(e, t)
	i := strings.LastIndexByte(t.s, '/')
	if !ok || i <= 0 {
		return t, false
	}
	t.s = t.s[:i]
	return t, true
}

// serviceState takes the state (4: running, 1: stopped) out of the same data.
func serviceState(e *event.Event, t text) (text, bool) {
	t, ok := decodeUTF16Hex(e, t)
	i := strings.LastIndexByte(t.s, '/')
	if !ok || i < 0 || i+1 == len(t.s) {
		return t, false
	}
	t.s = t.s[i+1:]
	return t, true
}

// checkIP lets only addresses pass, without port, zone or brackets.
func checkIP(_ *event.Event, t text) (text, bool) {
	address, err := netip.ParseAddr(t.s)
	return t, err == nil && address.Zone() == ""
}

func afterFirstDot(_ *event.Event, t text) (text, bool) {
	if i := strings.IndexByte(t.s, '.'); i >= 0 {
		t.s = t.s[i+1:]
		return t, t.s != ""
	}
	return t, false
}

func beforeFirstDot(_ *event.Event, t text) (text, bool) {
	if i := strings.IndexByte(t.s, '.'); i >= 0 {
		t.s = t.s[:i]
	}
	return t, t.s != ""
}

// partOf returns a transform that takes one part of a text.
func partOf(by string, index int) transform {
	return func(_ *event.Event, t text) (text, bool) {
		rest := t.s
		if index < 0 {
			for i := index; ; i++ {
				at := strings.LastIndex(rest, by)
				if i == -1 {
					t.s = rest[at+1:]
					if at >= 0 {
						t.s = rest[at+len(by):]
					}
					return t, t.s != ""
				}
				if at < 0 {
					return t, false
				}
				rest = rest[:at]
			}
		}
		for i := 0; ; i++ {
			part, after, more := strings.Cut(rest, by)
			if i == index {
				t.s = part
				return t, part != ""
			}
			if !more {
				return t, false
			}
			rest = after
		}
	}
}

// writeMAC writes a hardware address as ECS wants it, 00-00-5E-00-53-2A.
func writeMAC(e *event.Event, t text) (text, bool) {
	out := e.Scratch(3 * len(t.s))
	digits := 0
	for _, c := range []byte(t.s) {
		switch {
		case c == ':' || c == '-' || c == '.':
			continue
		case c-'0' >= 10 && c|0x20-'a' >= 6:
			return t, false
		case digits > 0 && digits%2 == 0:
			out = append(out, '-')
		}
		if c >= 'a' {
			c ^= 0x20
		}
		out = append(out, c)
		digits++
	}
	return text{event.View(out), true}, digits == 12 || digits == 16
}
