package scan

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Key returns the key of a node as it stands in the text.
func (t *Tape) Key(n *Node) []byte { return t.Data[n.KeyStart:n.KeyEnd] }

// Raw returns the text of a value: of a string what is between its quotes,
// escapes and all.
func (t *Tape) Raw(n *Node) []byte { return t.Data[n.Start:n.End] }

// Fragment returns the text of a value as JSON, a string with its quotes.
func (t *Tape) Fragment(n *Node) []byte {
	if n.Kind == String {
		return t.Data[n.Start-1 : n.End+1]
	}
	return t.Data[n.Start:n.End]
}

// AppendUnescaped appends what the inside of a valid JSON string means. A
// surrogate without its partner becomes U+FFFD. The result is never longer
// than raw.
func AppendUnescaped(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			i++
			continue
		}
		c := raw[i+1]
		i += 2
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := unicodeEscape(raw[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				second := rune(utf8.RuneError)
				if i+6 <= len(raw) && raw[i] == '\\' && raw[i+1] == 'u' {
					second = utf16.DecodeRune(r, unicodeEscape(raw[i+2:]))
				}
				if r = second; r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

func unicodeEscape(digits []byte) rune {
	r := rune(0)
	for _, c := range digits[:4] {
		r = r<<4 | rune(hexValue(c))
	}
	return r
}

// isHalf reports whether the escape that begins s, valid and of the form
// \uXXXX, is half a surrogate pair.
func isHalf(s []byte) bool { return utf16.IsSurrogate(unicodeEscape(s[2:])) }

// isPair reports whether the two escapes that begin s are one character.
func isPair(s []byte) bool {
	if s[6] != '\\' || s[7] != 'u' {
		return false
	}
	for _, c := range s[8:12] {
		if hexValue(c) < 0 {
			return false
		}
	}
	return utf16.DecodeRune(unicodeEscape(s[2:]), unicodeEscape(s[8:])) != utf8.RuneError
}

// AppendWhole appends JSON, or the inside of one of its strings, with U+FFFD in
// the place of every half of a surrogate pair: consumers that turn escapes into
// UTF-8 refuse what has no form there. The length stays.
func AppendWhole(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		n := 1
		if raw[i] == '\\' {
			n = 2
			if raw[i+1] == 'u' {
				n = 6
				if isHalf(raw[i:]) {
					if i+12 > len(raw) || !isPair(raw[i:]) {
						dst = append(dst, `\ufffd`...)
						i += 6
						continue
					}
					n = 12
				}
			}
		}
		dst = append(dst, raw[i:i+n]...)
		i += n
	}
	return dst
}

// AppendLine appends valid JSON without the line breaks between its values:
// inside strings there are none.
func AppendLine(dst []byte, json string) []byte {
	for {
		i := strings.IndexAny(json, "\r\n")
		if i < 0 {
			return append(dst, json...)
		}
		dst = append(dst, json[:i]...)
		json = strings.TrimLeft(json[i:], " \t\r\n")
	}
}
