package file

import (
	"bytes"
	"fmt"
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep a value may nest; deeper ones are refused.
const maxDepth = 1000

// scanner walks over the JSON text of one line. It finds the extent of nested
// values without checking what is inside: whoever maps the value parses it.
type scanner struct {
	text    []byte
	pos     int
	scratch []byte // unescaped strings of this line
}

// syntaxError says where a line departs from the format. The offset counts
// bytes from 0.
type syntaxError struct {
	offset          int
	expected, found string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("offset %d: expected %s, found %s", e.offset, e.expected, e.found)
}

func (s *scanner) reset(text []byte) {
	s.text, s.pos, s.scratch = text, 0, s.scratch[:0]
}

func (s *scanner) fail(expected string) error {
	found := "the end of the line"
	if s.pos < len(s.text) {
		r, _ := utf8.DecodeRune(s.text[s.pos:])
		found = fmt.Sprintf("%q", r)
	}
	return &syntaxError{s.pos, expected, found}
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) expect(c byte) error {
	if s.peek() != c || s.pos >= len(s.text) {
		return s.fail(fmt.Sprintf("%q", rune(c)))
	}
	s.pos++
	return nil
}

// members calls each with every key of an object, the scanner standing before
// the value, which each must consume. The key is valid during the call.
func (s *scanner) members(each func(key []byte) error) error {
	if err := s.expect('{'); err != nil {
		return err
	}
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.fail("a key in quotes")
		}
		key, err := s.str()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := each(key); err != nil {
			return err
		}
		if s.peek() == '}' {
			s.pos++
			return nil
		}
		if s.peek() != ',' {
			return s.fail("',' or '}'")
		}
		s.pos++
	}
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.peek(); s.pos < len(s.text) {
		return s.fail("the end of the line")
	}
	return nil
}

// null consumes the word null, if it stands here.
func (s *scanner) null() bool {
	if s.peek() == 'n' && bytes.HasPrefix(s.text[s.pos:], []byte("null")) {
		s.pos += len("null")
		return true
	}
	return false
}

// integer reads a whole number.
func (s *scanner) integer() (int64, error) {
	c := s.peek()
	start := s.pos
	negative := c == '-'
	if negative {
		s.pos++
	}
	var n uint64
	first := s.pos
	for s.pos < len(s.text) && s.text[s.pos]-'0' <= 9 {
		if n > math.MaxInt64/10-1 {
			s.pos = start
			return 0, s.fail("an integer of 64 bits")
		}
		n = n*10 + uint64(s.text[s.pos]-'0')
		s.pos++
	}
	if s.pos == first || s.pos < len(s.text) && bytes.IndexByte([]byte(".eE"), s.text[s.pos]) >= 0 {
		s.pos = start
		return 0, s.fail("an integer")
	}
	if negative {
		return -int64(n), nil
	}
	return int64(n), nil
}

// str reads a string. The result points into the line, or into the scratch
// when there was something to unescape; it is never nil.
func (s *scanner) str() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.fail("a string")
	}
	s.pos++
	start := s.pos
	for i := start; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.pos = i + 1
			return s.text[start:i:i], nil
		case c == '\\':
			return s.escaped(start, i)
		case c < ' ':
			s.pos = i
			return nil, s.fail("an escaped control character")
		}
	}
	s.pos = len(s.text)
	return nil, s.fail("'\"'")
}

// escaped reads the rest of a string, whose first escape stands at i.
func (s *scanner) escaped(start, i int) ([]byte, error) {
	if cap(s.scratch)-len(s.scratch) < len(s.text)-start {
		// Room for the rest of the line holds every string that is still to
		// come; earlier results keep the old block alive.
		s.scratch = make([]byte, 0, max(2*cap(s.scratch), len(s.text)))
	}
	from := len(s.scratch)
	out := append(s.scratch, s.text[start:i]...)
	for i < len(s.text) {
		c := s.text[i]
		switch {
		case c == '"':
			s.pos = i + 1
			s.scratch = out
			return out[from:len(out):len(out)], nil
		case c < ' ':
			s.pos = i
			return nil, s.fail("an escaped control character")
		case c != '\\':
			run := i
			for i < len(s.text) && s.text[i] != '"' && s.text[i] != '\\' && s.text[i] >= ' ' {
				i++
			}
			out = append(out, s.text[run:i]...)
			continue
		}
		n := 0
		out, n = unescape(out, s.text[i:])
		if n == 0 {
			s.pos = i
			return nil, s.fail(`an escape such as \n or \u0041`)
		}
		i += n
	}
	s.pos = len(s.text)
	return nil, s.fail("'\"'")
}

// unescape appends what the escape at the beginning of text means and returns
// its length in text, 0 when it is none. Half of a surrogate pair becomes U+FFFD.
func unescape(out, text []byte) ([]byte, int) {
	if len(text) < 2 {
		return out, 0
	}
	switch text[1] {
	case '"', '\\', '/':
		return append(out, text[1]), 2
	case 'b':
		return append(out, '\b'), 2
	case 'f':
		return append(out, '\f'), 2
	case 'n':
		return append(out, '\n'), 2
	case 'r':
		return append(out, '\r'), 2
	case 't':
		return append(out, '\t'), 2
	case 'u':
		r, ok := hex4(text[2:])
		if !ok {
			return out, 0
		}
		if utf16.IsSurrogate(r) && len(text) > 7 && text[6] == '\\' && text[7] == 'u' {
			low, ok := hex4(text[8:])
			if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
				return utf8.AppendRune(out, pair), 12
			}
		}
		return utf8.AppendRune(out, r), 6
	}
	return out, 0
}

func hex4(text []byte) (rune, bool) {
	if len(text) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range text[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// skip passes over any value and returns its text.
func (s *scanner) skip() ([]byte, error) {
	c := s.peek()
	start := s.pos
	switch {
	case c == '{' || c == '[':
		if err := s.nested(); err != nil {
			return nil, err
		}
	case c == '"':
		if err := s.skipString(); err != nil {
			return nil, err
		}
	default:
		for s.pos < len(s.text) && bytes.IndexByte([]byte(" \t\r\n,:{}[]\""), s.text[s.pos]) < 0 {
			s.pos++
		}
		if s.pos == start {
			return nil, s.fail("a value")
		}
	}
	return s.text[start:s.pos:s.pos], nil
}

// nested passes over an object or array by counting brackets.
func (s *scanner) nested() error {
	var kinds [maxDepth]byte // the bracket that closes each open level
	depth := 0
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case '"':
			if err := s.skipString(); err != nil {
				return err
			}
			continue
		case '{', '[':
			if depth == maxDepth {
				return s.fail(fmt.Sprintf("at most %d levels", maxDepth))
			}
			kinds[depth] = c + 2 // '}' and ']' stand two places after their openings
			depth++
		case '}', ']':
			if kinds[depth-1] != c {
				return s.fail(fmt.Sprintf("%q", rune(kinds[depth-1])))
			}
			if depth--; depth == 0 {
				s.pos++
				return nil
			}
		}
		s.pos++
	}
	return s.fail(fmt.Sprintf("%q", rune(kinds[depth-1])))
}

func (s *scanner) skipString() error {
	for i := s.pos + 1; i < len(s.text); i++ {
		switch s.text[i] {
		case '"':
			s.pos = i + 1
			return nil
		case '\\':
			i++
		}
	}
	s.pos = len(s.text)
	return s.fail("'\"'")
}
