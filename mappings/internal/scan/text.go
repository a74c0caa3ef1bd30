package scan

import (
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
