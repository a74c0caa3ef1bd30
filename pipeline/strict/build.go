package strict

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// builder turns the library's syntax tree into nodes.
type builder struct {
	file     string
	lines    []sourceLine
	reached  reached
	problems []Problem
}

// sourceLine is a line of the file.
type sourceLine struct {
	rest  string // The source from the beginning of the line to the end of the file.
	width int    // Characters in the line.
}

// reached is the place of the last scalar, from which the next one in the same line is found without a new count.
type reached struct {
	line, column int
	rest         string
}

func splitLines(text string) []sourceLine {
	var lines []sourceLine
	for {
		line, after, more := strings.Cut(text, "\n")
		lines = append(lines, sourceLine{rest: text, width: utf8.RuneCountInString(line)})
		if !more {
			return lines
		}
		text = after
	}
}

func (b *builder) report(pos *token.Position, format string, args ...any) {
	p := Problem{File: b.file, Message: fmt.Sprintf(format, args...)}
	p.Line, p.Column = b.place(pos)
	b.problems = append(b.problems, p)
}

func (b *builder) build(from ast.Node, depth int) Node {
	if depth > MaxDepth {
		b.report(positionOf(from), "nested more than %d levels deep", MaxDepth)
		return Node{}
	}
	switch v := from.(type) {
	case *ast.MappingNode:
		start := v.Start
		if !v.IsFlowStyle && len(v.Values) > 0 {
			start = v.Values[0].Key.GetToken()
		}
		return b.mapping(start, v.Values, depth)
	case *ast.MappingValueNode:
		return b.mapping(v.Key.GetToken(), []*ast.MappingValueNode{v}, depth)
	case *ast.SequenceNode:
		n := b.at(v.Start, List)
		for _, item := range v.Values {
			n.items = append(n.items, b.build(item, depth+1))
		}
		return Node{n}
	}
	return b.scalar(from)
}

func (b *builder) mapping(start *token.Token, values []*ast.MappingValueNode, depth int) Node {
	n := b.at(start, Mapping)
	first := make(map[string]int, len(values))
	for _, v := range values {
		key := b.key(v.Key)
		if key.IsZero() {
			continue
		}
		if line, repeated := first[key.n.text]; repeated {
			p := key.Problem("key %s is repeated", shorten(key.n.text))
			p.Hint = fmt.Sprintf("first in line %d", line)
			b.problems = append(b.problems, p)
			continue
		}
		first[key.n.text] = key.n.line
		value := Node{}
		if v.Value != nil {
			value = b.build(v.Value, depth+1)
		}
		if value.IsZero() || value.Kind() == Null && value.n.scalar == nil {
			value = Node{b.at(v.Start, Null)} // Nothing is written: the colon is where something should follow.
		}
		n.entries = append(n.entries, Entry{Key: key, Value: value})
	}
	return Node{n}
}

// key builds the key of an entry, which must be a scalar.
func (b *builder) key(from ast.Node) Node {
	if explicit, ok := from.(*ast.MappingKeyNode); ok { // Written with "? ".
		from = explicit.Value
	}
	switch from.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode, nil:
		b.report(positionOf(from), "expected a text as key, found a list or mapping")
		return Node{}
	}
	key := b.scalar(from)
	if key.Kind() == Null {
		key.n.kind = String // As a key null is a word like any other.
	}
	return key
}

func (b *builder) scalar(from ast.Node) Node {
	switch v := from.(type) {
	case *ast.StringNode:
		n := b.at(v.Token, String)
		n.text = v.Value
		switch v.Token.Type {
		case token.DoubleQuoteType:
			n.scalar = b.source(n, double)
		case token.SingleQuoteType:
			n.scalar = b.source(n, single)
		default:
			n.scalar = b.source(n, plain)
			n.kind = resolve(n.text)
		}
		return Node{n}
	case *ast.LiteralNode:
		n := b.at(v.Start, String)
		n.text = v.Value.Value
		n.scalar = b.source(n, block)
		return Node{n}
	case *ast.NullNode, *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		t := from.GetToken()
		n := b.at(t, String)
		if t.Type != token.ImplicitNullType {
			n.text = t.Value
			n.scalar = b.source(n, plain)
		}
		n.kind = resolve(n.text)
		return Node{n}
	}
	b.report(positionOf(from), "expected a value, found %s", strings.ToLower(from.Type().String()))
	return Node{}
}

func (b *builder) at(t *token.Token, kind Kind) *node {
	n := &node{file: b.file, kind: kind}
	if t != nil {
		n.line, n.column = b.place(t.Position)
	}
	return n
}

// place returns a position inside of the file. The library gives absent values a place behind the end of their line.
func (b *builder) place(pos *token.Position) (line, column int) {
	if pos == nil {
		return 0, 0
	}
	line = min(max(pos.Line, 1), len(b.lines))
	return line, min(max(pos.Column, 1), b.lines[line-1].width+1)
}

// source finds a scalar in the file by its position.
func (b *builder) source(n *node, style scalarStyle) *scalarSource {
	if n.line < 1 || n.line > len(b.lines) {
		return nil
	}
	from := &b.reached
	if from.line != n.line || from.column > n.column {
		*from = reached{line: n.line, column: 1, rest: b.lines[n.line-1].rest}
	}
	for ; from.column < n.column; from.column++ {
		_, size := utf8.DecodeRuneInString(from.rest)
		from.rest = from.rest[size:]
	}
	return &scalarSource{raw: from.rest, style: style}
}

func positionOf(n ast.Node) *token.Position {
	if n == nil || n.GetToken() == nil {
		return nil
	}
	return n.GetToken().Position
}
