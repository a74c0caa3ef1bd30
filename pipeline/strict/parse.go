package strict

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of a file. They bound what a hostile file can cost.
const (
	MaxSize  = 1 << 20 // Bytes of a file.
	MaxDepth = 32      // Lists and mappings inside each other.
	// Keys of all mappings and entries of all lists of a file; the YAML library needs time in the square of them.
	MaxKeys    = 16384
	MaxEntries = 131072
)

// Parse reads the documents of a YAML file. The file name only serves for messages. Documents without content are left
// out, so that an empty file gives no nodes and no error. A failure is an *Error with all problems that could be found.
// Parse never panics.
func Parse(file string, src []byte) (nodes []Node, err error) {
	text, err := readable(file, src)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			// A fault of the YAML library on a strange file must not take the gateway down.
			nodes, err = nil, NewError(Problem{File: file, Message: fmt.Sprintf("reading YAML failed: %v", r)})
		}
	}()
	tokens := lexer.Tokenize(text)
	if err := checkTokens(file, tokens); err != nil {
		return nil, err
	}
	b := builder{file: file, lines: splitLines(text)}
	for _, document := range splitDocuments(tokens) {
		tree, err := parser.Parse(document, 0, parser.AllowDuplicateMapKey())
		if err != nil {
			b.problems = append(b.problems, syntaxProblem(file, err))
			continue
		}
		for _, doc := range tree.Docs {
			if doc.Body != nil {
				nodes = append(nodes, b.build(doc.Body, 1))
			}
		}
	}
	if err := NewError(b.problems...); err != nil {
		return nil, err
	}
	return nodes, nil
}

// ParseOne reads a file that must hold exactly one document.
func ParseOne(file string, src []byte) (Node, error) {
	nodes, err := Parse(file, src)
	switch {
	case err != nil:
		return Node{}, err
	case len(nodes) == 0:
		return Node{}, NewError(Problem{File: file, Line: 1, Column: 1, Message: "the file is empty"})
	case len(nodes) > 1:
		return Node{}, nodes[1].Errorf("expected one document, found %d", len(nodes))
	}
	return nodes[0], nil
}

// readable checks size and characters and returns the text without byte order mark and with plain line breaks, neither
// of which changes lines and columns.
func readable(file string, src []byte) (string, error) {
	if len(src) > MaxSize {
		return "", NewError(Problem{
			File:    file,
			Message: fmt.Sprintf("file has more than the %d bytes that are allowed", MaxSize),
			Hint:    "split it",
		})
	}
	text := strings.TrimPrefix(string(src), "\ufeff")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if !strings.HasSuffix(text, "\n") {
		text += "\n" // Without it the library drops some mistakes in the last line without a word.
	}
	line, column := 1, 1
	for i, r := range text {
		message := ""
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd"):
			message = fmt.Sprintf("expected UTF-8 text, found byte 0x%02x", text[i])
		case r < ' ' && r != '\n' && r != '\t', r == 0x7f:
			message = fmt.Sprintf("control character U+%04X is not allowed", r)
		}
		if message != "" {
			return "", NewError(Problem{File: file, Line: line, Column: column, Message: message})
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	return text, nil
}

// checkTokens refuses the parts of YAML that we do not use, and nesting so deep that it would exhaust the parser's stack.
// Block collections nest on one line only by several indicators in a row; over several lines their indentation makes
// the file's size the bound, and the exact depth is checked when the tree is built.
func checkTokens(file string, tokens token.Tokens) error {
	var problems []Problem
	report := func(t *token.Token, message, hint string) {
		problems = append(problems, Problem{
			File: file, Line: t.Position.Line, Column: t.Position.Column, Message: message, Hint: hint,
		})
	}
	indicators, line, keys, entries := 0, 0, 0, 0
	var open []token.Type // Flow collections that are not closed.
	for _, t := range tokens {
		if t.Position.Line != line {
			line, indicators = t.Position.Line, 0
		}
		switch t.Type {
		case token.InvalidType:
			report(t, tidySyntax(t.Error), syntaxHint(t.Error))
			return NewError(problems...) // What follows an invalid token is guesswork.
		case token.AnchorType:
			report(t, "anchors are not supported", "write the value out")
		case token.AliasType:
			report(t, "aliases are not supported", "write the value out; quote a text that begins with *")
		case token.MergeKeyType:
			report(t, `merge keys ("<<") are not supported`, "write the entries out")
		case token.TagType:
			report(t, "tags are not supported", "quote a text that begins with !")
		case token.DirectiveType:
			report(t, "directives are not supported", "quote a text that begins with %")
		case token.SequenceStartType, token.MappingStartType:
			open = append(open, t.Type)
		case token.SequenceEndType, token.MappingEndType:
			open = open[:max(0, len(open)-1)]
		case token.SequenceEntryType:
			indicators++
			entries++
		case token.MappingKeyType:
			indicators++
			keys++
		case token.MappingValueType:
			keys++
		case token.CollectEntryType:
			if len(open) > 0 && open[len(open)-1] == token.MappingStartType {
				keys++ // A key needs no value there.
			} else {
				entries++
			}
		default:
		}
		switch {
		case keys > MaxKeys:
			report(t, fmt.Sprintf("more than %d keys in one file", MaxKeys), "split it")
			return NewError(problems...)
		case entries > MaxEntries:
			report(t, fmt.Sprintf("more than %d list entries in one file", MaxEntries), "split it")
			return NewError(problems...)
		}
		if len(open) > MaxDepth || indicators > MaxDepth {
			report(t, fmt.Sprintf("nested more than %d levels deep", MaxDepth), "")
			return NewError(problems...)
		}
	}
	return NewError(problems...)
}

// splitDocuments cuts the tokens at the marks between documents. The library parses one document at a time for us,
// because its own way drops everything behind an empty document.
func splitDocuments(tokens token.Tokens) []token.Tokens {
	var documents []token.Tokens
	var current token.Tokens
	for _, t := range tokens {
		if t.Type == token.DocumentHeaderType || t.Type == token.DocumentEndType {
			documents = append(documents, current)
			current = nil
			continue
		}
		current = append(current, t)
	}
	return append(documents, current)
}

func syntaxProblem(file string, err error) Problem {
	// The library's error types are aliased in its root package, which would bring in its decoder; their methods suffice.
	var positioned interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if !errors.As(err, &positioned) || positioned.GetToken() == nil {
		return Problem{File: file, Message: "reading YAML failed: " + err.Error()}
	}
	pos := positioned.GetToken().Position
	message := positioned.GetMessage()
	return Problem{
		File: file, Line: pos.Line, Column: max(1, pos.Column), Message: tidySyntax(message), Hint: syntaxHint(message),
	}
}

func tidySyntax(message string) string {
	return strings.ReplaceAll(message, "\t", `\t`)
}

func syntaxHint(message string) string {
	switch {
	case strings.Contains(message, "\t"):
		return "indent with spaces, not with tabs"
	case strings.Contains(message, "invalid header option"):
		return "begin the text in the next line; quote a text that begins with | or >"
	case strings.Contains(message, "value is not allowed in this context"):
		return `check the indentation; quote a text that contains ": "`
	}
	return ""
}
