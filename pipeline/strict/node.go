// Package strict decodes YAML files strictly and keeps the position of everything in them. Configuration, mapping files
// and rule files share it, so that all three report mistakes in the same way: every problem of a file at once, each
// with file, line, column, what was expected, what was found and, for a misspelt name, the nearest known one.
//
// Strict means: unknown and repeated keys are errors; anchors, aliases, merge keys and tags are refused (no alias bombs,
// no surprises); a value of another type is an error, never converted silently; size and depth are bounded.
//
// The grammar is that of YAML 1.2 with its core schema (https://yaml.org/spec/1.2.2/#103-core-schema), read by
// github.com/goccy/go-yaml. All functions are safe for concurrent use; a Node is immutable.
package strict

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Kind says what a node is.
type Kind uint8

// The kinds of nodes. A scalar's kind is that of the core schema: 12 is an Int, "12" is a String.
const (
	Invalid Kind = iota // The zero Node: nothing is there.
	Null
	Bool
	Int
	Float
	String
	List
	Mapping
)

// String returns the name that error messages use.
func (k Kind) String() string {
	switch k {
	case Null:
		return "nothing"
	case Bool:
		return "boolean"
	case Int:
		return "integer"
	case Float:
		return "number"
	case String:
		return "string"
	case List:
		return "list"
	case Mapping:
		return "mapping"
	default:
		return "no value"
	}
}

// Node is a value in a YAML file that knows where it stands. The zero Node stands for a value that is absent.
// As a field type it defers decoding: the owner of the field calls Decode when it knows the type.
type Node struct{ n *node }

type node struct {
	file    string
	line    int
	column  int
	kind    Kind
	text    string // A scalar's text.
	entries []Entry
	items   []Node
	scalar  *scalarSource // How a scalar is written; nil when the text does not come from the file.
	written string        // The text in the file before WithText replaced it.
	path    string        // The file that the text was read from by WithFile.
	derived bool          // WithText has replaced the text.
}

// Entry is one key of a mapping with its value, in the order of the file.
type Entry struct {
	Key   Node // A scalar.
	Value Node
}

// IsZero reports whether the node is absent.
func (n Node) IsZero() bool { return n.n == nil }

// Kind returns what the node is; Invalid when it is absent.
func (n Node) Kind() Kind {
	if n.n == nil {
		return Invalid
	}
	return n.n.kind
}

// File returns the name of the file, as it was given to Parse.
func (n Node) File() string {
	if n.n == nil {
		return ""
	}
	return n.n.file
}

// Position returns the node's 1-based line and column (in characters); 0, 0 for an absent node.
func (n Node) Position() (line, column int) {
	if n.n == nil {
		return 0, 0
	}
	return n.n.line, n.n.column
}

// Entries returns the entries of a mapping in the order of the file; nil for other kinds. The caller must not change it.
func (n Node) Entries() []Entry {
	if n.n == nil {
		return nil
	}
	return n.n.entries
}

// Items returns the elements of a list; nil for other kinds. The caller must not change it.
func (n Node) Items() []Node {
	if n.n == nil {
		return nil
	}
	return n.n.items
}

// Get returns the value of a key of a mapping, or the zero Node.
func (n Node) Get(key string) Node {
	for _, e := range n.Entries() {
		if e.Key.n.text == key {
			return e.Value
		}
	}
	return Node{}
}

// Scalar returns the text of a string, number or boolean as it is written (quotes and escapes resolved).
// It returns false for lists, mappings, nothing and absent nodes.
func (n Node) Scalar() (string, bool) {
	switch n.Kind() {
	case Bool, Int, Float, String:
		return n.n.text, true
	default:
		return "", false
	}
}

// Text returns a scalar's text together with its position; the zero Text for other kinds.
func (n Node) Text() Text {
	value, ok := n.Scalar()
	if !ok {
		return Text{}
	}
	return Text{Value: value, File: n.n.file, Line: n.n.line, Column: n.n.column, source: n.n.scalar}
}

// Quoted reports whether a scalar is written in quotes or as a block scalar, and so is a string whatever it looks like.
func (n Node) Quoted() bool { return n.n != nil && n.n.scalar != nil && n.n.scalar.style != plain }

// WithText returns a copy of a scalar with another text, such as the one that replaces a reference to an environment
// variable. The copy keeps the position. Its text may be decoded into any type that the text fits, whether the scalar
// was quoted or not, and error messages show what the file says, not the new text, which may be a secret.
func (n Node) WithText(text string) Node {
	written, ok := n.Scalar()
	if !ok {
		return n
	}
	if n.n.derived {
		written = n.n.written
	}
	kind := resolve(text)
	if n.Quoted() || kind == Null {
		kind = String
	}
	return Node{&node{
		file: n.n.file, line: n.n.line, column: n.n.column,
		kind: kind, text: text, written: written, derived: true,
	}}
}

// WithFile returns what WithText returns for a text that is the content of another file. A target that implements
// UnmarshalFile(path string) error, such as secret.String, is given the path in place of the text, to follow the file.
func (n Node) WithFile(path, text string) Node {
	c := n.WithText(text)
	if c.n != nil {
		c.n.path = path
	}
	return c
}

// FromFile reports whether the text is the content of another file, see WithFile.
func (n Node) FromFile() bool { return n.n != nil && n.n.path != "" }

// Written returns what the file says in place of a text that WithText has replaced; false when nothing was replaced.
func (n Node) Written() (string, bool) {
	if n.n == nil || !n.n.derived || n.n.written == "" {
		return "", false
	}
	return n.n.written, true
}

// Transform returns a copy of the tree in which every scalar value has gone through f; keys stay as they are.
// The problems of all calls are returned together in one *Error.
func (n Node) Transform(f func(scalar Node) (Node, error)) (Node, error) {
	switch n.Kind() {
	case Bool, Int, Float, String:
		return f(n)
	case List, Mapping:
	default:
		return n, nil
	}
	var errs []error
	c := *n.n
	c.items = make([]Node, len(n.n.items))
	for i, item := range n.n.items {
		changed, err := item.Transform(f)
		errs = append(errs, err)
		c.items[i] = changed
	}
	c.entries = make([]Entry, len(n.n.entries))
	for i, e := range n.n.entries {
		changed, err := e.Value.Transform(f)
		errs = append(errs, err)
		c.entries[i] = Entry{Key: e.Key, Value: changed}
	}
	return Node{&c}, Merge(errs...)
}

// Problem returns a problem at the position of the node.
func (n Node) Problem(format string, args ...any) Problem {
	line, column := n.Position()
	return Problem{File: n.File(), Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
}

// Errorf returns an *Error with one problem at the position of the node.
func (n Node) Errorf(format string, args ...any) error {
	return NewError(n.Problem(format, args...))
}

// Describe says in a few words what the node is, for use after "found" in an error message. It never shows a text
// that came from outside of the file.
func (n Node) Describe() string {
	switch {
	case n.Kind() == Invalid, n.Kind() == Null, n.Kind() == List, n.Kind() == Mapping:
		return n.Kind().String()
	case n.n.derived && n.n.written == "":
		return "something else"
	case n.n.derived:
		return "something else in " + shorten(n.n.written)
	case n.Kind() == String:
		return "string " + shorten(n.n.text)
	}
	return n.Kind().String() + " " + n.n.text
}

// shorten quotes a text for a message: control characters escaped, long texts cut.
func shorten(text string) string {
	const limit = 40
	if utf8.RuneCountInString(text) > limit {
		text = string([]rune(text)[:limit]) + "…"
	}
	return strconv.Quote(text)
}
