// Package scan reads one JSON text into a flat tape of its values.
//
// The scanner validates the whole text in one pass: the grammar of RFC 8259,
// UTF-8, and limits on size, depth and number of values. The tape tells where
// every key and value stands; nothing is copied, converted or unescaped until
// somebody asks, so that a warm Tape allocates nothing.
package scan

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Kind is the type of a JSON value.
type Kind uint8

// The kinds of values.
const (
	Null Kind = iota
	False
	True
	Number
	String
	Object
	Array
)

// Node is one value. A container is followed by its members, in order.
type Node struct {
	KeyStart, KeyEnd uint32 // of its key without quotes; equal for elements and for the root
	Start, End       uint32 // of the value; of a string without its quotes
	Next             uint32 // index of the node after this one and its members
	Tag              uint16 // free for the caller; 0 after Scan
	Kind             Kind
	KeyEscaped       bool // the key holds backslashes
	Escaped          bool // the string holds backslashes
}

// Limits bound what a hostile text can cost. They lie within those of
// Elasticsearch's own parser (Jackson's StreamReadConstraints), so that a text
// accepted here is not refused there for its shape.
type Limits struct {
	Size   int // bytes of the text
	Depth  int // objects and arrays inside each other
	Values int // values in the text
	Key    int // bytes of a key
	Number int // characters of a number
}

// DefaultLimits returns the limits that fit event records.
func DefaultLimits() Limits {
	return Limits{Size: 8 << 20, Depth: 64, Values: 100_000, Key: 4096, Number: 1000}
}

// Tape is the result of a scan. It is reused from one text to the next and
// belongs to one goroutine.
type Tape struct {
	Data   []byte // the text, as given to Scan; not copied
	Nodes  []Node // the root first
	Depth  int    // objects and arrays inside each other, 0 for a scalar
	Halves bool   // some string or key has half a surrogate pair as an escape
	limits Limits
	err    *Error
}

// NewTape returns an empty tape.
func NewTape(limits Limits) *Tape {
	return &Tape{limits: limits, Nodes: make([]Node, 0, 128)}
}

// Scan reads data, which must be one JSON value with nothing but white space
// around it (and a UTF-8 byte order mark before it, which is skipped). On an
// error the tape is empty; the error is an *Error.
func (t *Tape) Scan(data []byte) error {
	t.Data, t.Nodes, t.Depth, t.Halves, t.err = data, t.Nodes[:0], 0, false, nil
	if len(data) > t.limits.Size {
		t.Data = nil
		return &Error{Expected: sizeLimit(t.limits.Size), Found: sizeOf(len(data)), TooLarge: true}
	}
	i := 0
	if len(data) >= 3 && data[0] == 0xEF && data[1] == 0xBB && data[2] == 0xBF {
		i = 3
	}
	i = t.space(i)
	t.Nodes = append(t.Nodes, Node{})
	i = t.value(i, 0, 0)
	if t.err == nil {
		if i = t.space(i); i < len(data) {
			t.fail(i, "the end of the record")
		}
	}
	if t.err != nil {
		t.Nodes = t.Nodes[:0]
		return t.err
	}
	return nil
}

// value reads the value at i into the node with index self and returns the
// offset behind it. After a failure the offset means nothing.
func (t *Tape) value(i, self, depth int) int {
	if i >= len(t.Data) {
		return t.fail(i, "a value")
	}
	start, kind := i, Null
	switch c := t.Data[i]; c {
	case '"':
		end, escaped := t.text(i + 1)
		n := &t.Nodes[self]
		n.Kind, n.Escaped = String, escaped
		n.Start, n.End, n.Next = uint32(i+1), uint32(end), uint32(self+1)
		return end + 1
	case '{', '[':
		if depth >= t.limits.Depth {
			return t.fail(i, depthLimit(t.limits.Depth))
		}
		t.Depth = max(t.Depth, depth+1)
		if c == '{' {
			kind, i = Object, t.object(i+1, depth+1)
		} else {
			kind, i = Array, t.array(i+1, depth+1)
		}
	case 't':
		kind, i = True, t.word(i, "true")
	case 'f':
		kind, i = False, t.word(i, "false")
	case 'n':
		kind, i = Null, t.word(i, "null")
	default:
		kind, i = Number, t.number(i)
	}
	n := &t.Nodes[self]
	n.Kind, n.Start, n.End, n.Next = kind, uint32(start), uint32(i), uint32(len(t.Nodes))
	return i
}

// object reads the members of an object whose brace stands before i and returns
// the offset behind its closing brace.
func (t *Tape) object(i, depth int) int {
	data := t.Data
	i = t.space(i)
	if i < len(data) && data[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(data) || data[i] != '"' {
			return t.fail(i, "a key in double quotes")
		}
		start := i + 1
		end, escaped := t.text(start)
		if t.err != nil || end-start > t.limits.Key {
			return t.failKey(start)
		}
		if i = t.skip(end + 1); i >= len(data) || data[i] != ':' {
			return t.fail(i, "':'")
		}
		i = t.skip(i + 1)
		self := t.add(i)
		if self == 0 {
			return i
		}
		n := &t.Nodes[self]
		n.KeyStart, n.KeyEnd, n.KeyEscaped = uint32(start), uint32(end), escaped
		n.Tag, n.Escaped = 0, false
		if i = t.value(i, self, depth); t.err != nil {
			return i
		}
		if i = t.skip(i); i >= len(data) || data[i] != ',' {
			return t.endOfObject(i)
		}
		i = t.skip(i + 1)
	}
}

// failKey fails at a key: for what its text failed for already, or its length.
func (t *Tape) failKey(start int) int {
	if t.err == nil {
		t.fail(start, keyLimit(t.limits.Key))
	}
	return start
}

// endOfObject takes the brace that closes an object.
func (t *Tape) endOfObject(i int) int {
	if i < len(t.Data) && t.Data[i] == '}' {
		return i + 1
	}
	return t.fail(i, "',' or '}'")
}

// skip is space for places where most texts have none: it is inlined.
func (t *Tape) skip(i int) int {
	if i < len(t.Data) && t.Data[i] <= ' ' {
		return t.space(i)
	}
	return i
}

func (t *Tape) array(i, depth int) int {
	data := t.Data
	i = t.space(i)
	if i < len(data) && data[i] == ']' {
		return i + 1
	}
	for {
		self := t.add(i)
		if self == 0 {
			return i
		}
		t.Nodes[self] = Node{}
		i = t.value(i, self, depth)
		if t.err != nil {
			return i
		}
		i = t.space(i)
		switch {
		case i < len(data) && data[i] == ',':
			i = t.space(i + 1)
		case i < len(data) && data[i] == ']':
			return i + 1
		default:
			return t.fail(i, "',' or ']'")
		}
	}
}

// add appends a node and returns its index, 0 when there are too many. The
// node holds what an earlier text left there: whoever adds it writes all of it,
// with value. A copy of an empty one would take longer than that.
func (t *Tape) add(i int) int {
	self := len(t.Nodes)
	if self >= t.limits.Values {
		t.fail(i, valueLimit(t.limits.Values))
		return 0
	}
	if self == cap(t.Nodes) {
		t.Nodes = append(t.Nodes, Node{})
		return self
	}
	t.Nodes = t.Nodes[:self+1]
	return self
}

// text reads a string whose first character stands at i and returns where its
// closing quote stands.
func (t *Tape) text(i int) (end int, escaped bool) {
	data := t.Data
	for {
		for i+8 <= len(data) {
			mark := event.JSONSpecial(binary.LittleEndian.Uint64(data[i:]))
			if mark != 0 {
				i += bits.TrailingZeros64(mark) >> 3
				break
			}
			i += 8
		}
		if i >= len(data) {
			return t.fail(i, "'\"' at the end of the string"), escaped
		}
		switch c := data[i]; {
		case c == '"':
			return i, escaped
		case c == '\\':
			escaped = true
			if i = t.escape(i); t.err != nil {
				return i, escaped
			}
		case c < 0x20:
			return t.fail(i, "an escaped control character"), escaped
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && size <= 1 {
				return t.fail(i, "UTF-8"), escaped
			}
			i += size
		}
	}
}

// escape checks the escape sequence at i and returns the offset behind it.
func (t *Tape) escape(i int) int {
	if i+1 >= len(t.Data) {
		return t.fail(i+1, "a character after '\\'")
	}
	switch t.Data[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		for k := i + 2; k < i+6; k++ {
			if k >= len(t.Data) || hexValue(t.Data[k]) < 0 {
				return t.fail(k, "four hexadecimal digits after \\u")
			}
		}
		if t.Data[i+2]|0x20 == 'd' && isHalf(t.Data[i:]) {
			if i+12 <= len(t.Data) && isPair(t.Data[i:]) {
				return i + 12
			}
			t.Halves = true
		}
		return i + 6
	}
	return t.fail(i+1, "one of \"\\/bfnrtu after '\\'")
}

func (t *Tape) word(i int, word string) int {
	if len(t.Data)-i < len(word) || string(t.Data[i:i+len(word)]) != word {
		return t.fail(i, "a value")
	}
	return i + len(word)
}

func (t *Tape) number(start int) int {
	data, i := t.Data, start
	if data[i] == '-' {
		i++
	}
	switch {
	case i < len(data) && data[i] == '0':
		i++
	case i < len(data) && data[i]-'1' < 9:
		i = t.digits(i)
	case i > start:
		return t.fail(i, "a digit")
	default:
		return t.fail(i, "a value")
	}
	if i < len(data) && data[i] == '.' {
		first := i + 1
		if i = t.digits(first); i == first {
			return t.fail(i, "a digit after '.'")
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		first := i
		if i = t.digits(first); i == first {
			return t.fail(i, "a digit of the exponent")
		}
	}
	if i-start > t.limits.Number {
		return t.fail(start, numberLimit(t.limits.Number))
	}
	return i
}

func (t *Tape) digits(i int) int {
	for i < len(t.Data) && t.Data[i]-'0' < 10 {
		i++
	}
	return i
}

func (t *Tape) space(i int) int {
	for i < len(t.Data) {
		switch t.Data[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

func hexValue(c byte) int {
	switch {
	case c-'0' < 10:
		return int(c - '0')
	case c|0x20-'a' < 6:
		return int(c|0x20-'a') + 10
	}
	return -1
}
