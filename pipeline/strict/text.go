package strict

import (
	"strings"
	"unicode/utf8"
)

// Text is a string that remembers where it stands in a file. Use it as a field type for texts that are compiled later,
// such as expressions, whose errors come with an offset into the text.
type Text struct {
	Value  string
	File   string
	Line   int // Of the first character as written: the quote of a quoted text, the | or > of a block text.
	Column int

	source *scalarSource
}

// String returns the text itself.
func (t Text) String() string { return t.Value }

// At returns the line and column in the file of the byte at an offset of Value: through quotes, escapes, folded lines
// and the indentation of block texts. An offset outside of Value is moved to its nearest end. A Text that was not read
// from a file counts lines and columns from its own Line and Column.
func (t Text) At(offset int) (line, column int) {
	offset = min(max(offset, 0), len(t.Value))
	s := t.source
	if s == nil {
		s = &scalarSource{raw: t.Value, style: plain, verbatim: true}
	}
	c := cursor{raw: s.raw, line: t.Line, column: t.Column}
	if s.style == block {
		c.throughBlock(t.Value, offset)
	} else {
		c.throughFlow(t.Value, offset, s)
	}
	return c.line, c.column
}

// Problem returns a problem at an offset of the text.
func (t Text) Problem(offset int, message, hint string) Problem {
	line, column := t.At(offset)
	return Problem{File: t.File, Line: line, Column: column, Message: message, Hint: hint}
}

type scalarStyle uint8

const (
	plain scalarStyle = iota
	single
	double
	block
)

// scalarSource is the source of a scalar as written.
type scalarSource struct {
	raw      string // From the scalar's first character to the end of the file, shared with the file's other scalars.
	style    scalarStyle
	verbatim bool // The text is its own source: line breaks are kept.
}

// cursor walks over the source of a scalar and counts lines and columns.
type cursor struct {
	raw    string
	i      int
	line   int
	column int
}

func (c *cursor) step(bytes int) {
	for ; bytes > 0 && c.i < len(c.raw); bytes-- {
		switch b := c.raw[c.i]; {
		case b == '\n':
			c.line++
			c.column = 1
		case utf8.RuneStart(b):
			c.column++
		}
		c.i++
	}
}

// throughFlow walks over a plain or quoted scalar until it has passed offset bytes of its value.
func (c *cursor) throughFlow(value string, offset int, s *scalarSource) {
	if s.style != plain {
		c.step(1)
	}
	for j := 0; j < offset && c.i < len(c.raw); {
		if folded := c.lineFold(); folded > 0 && !s.verbatim {
			c.step(folded)
			if value[j] == ' ' {
				j++
			} else {
				for j < offset && value[j] == '\n' {
					j++
				}
			}
			continue
		}
		switch {
		case s.style == double && c.raw[c.i] == '\\':
			length, isFold := c.escape()
			c.step(length)
			if !isFold {
				_, size := utf8.DecodeRuneInString(value[j:])
				j += size
			}
		case s.style == single && strings.HasPrefix(c.raw[c.i:], "''"):
			c.step(2)
			j++
		default:
			c.step(1)
			j++
		}
	}
	if s.style == double && strings.HasPrefix(c.raw[c.i:], "\\\n") {
		length, _ := c.escape()
		c.step(length)
	}
}

// lineFold returns the length of the white space ahead when it contains a line break, and else 0.
func (c *cursor) lineFold() int {
	rest := c.raw[c.i:]
	length := len(rest) - len(strings.TrimLeft(rest, " \t\n"))
	if strings.Contains(rest[:length], "\n") {
		return length
	}
	return 0
}

// escape returns the length of the escape sequence ahead, and whether it is a line break that leaves nothing behind.
func (c *cursor) escape() (length int, isFold bool) {
	rest := c.raw[c.i+1:]
	if rest == "" {
		return 1, false
	}
	switch rest[0] {
	case 'x':
		return 4, false
	case 'u':
		return 6, false
	case 'U':
		return 10, false
	case '\n':
		return 1 + len(rest) - len(strings.TrimLeft(rest, " \t\n")), true
	}
	return 2, false
}

// throughBlock walks over a | or > scalar. A line break of the source is a line break, a space or, in front of the empty
// lines of a folded text, nothing in the value.
func (c *cursor) throughBlock(value string, offset int) {
	c.step(strings.IndexByte(c.raw+"\n", '\n') + 1)
	indent := c.blockIndent(value)
	for j := 0; c.i < len(c.raw); {
		for n := 0; n < indent && c.i < len(c.raw) && c.raw[c.i] == ' '; n++ {
			c.step(1)
		}
		for j < offset && c.i < len(c.raw) && c.raw[c.i] != '\n' {
			c.step(1)
			j++
		}
		if j >= offset {
			return
		}
		c.step(1)
		if value[j] == '\n' || value[j] == ' ' {
			j++
		}
	}
}

// blockIndent returns the indentation of a block scalar: how much deeper its first line with content stands in the
// source than in the value. That holds with and without an explicit indentation indicator.
func (c *cursor) blockIndent(value string) int {
	return firstIndent(c.raw[c.i:]) - firstIndent(value)
}

func firstIndent(text string) int {
	for line := range strings.Lines(text) {
		if content := strings.TrimLeft(line, " "); content != "\n" && content != "" {
			return len(line) - len(content)
		}
	}
	return 0
}
