package store

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a search, so that a query cannot be made expensive to parse.
const (
	maxTextBytes = 4096
	maxTextTerms = 64
	maxTextDepth = 16
)

// SyntaxError says what is wrong in a search, and where.
type SyntaxError struct {
	Position int    // 1-based, in characters
	Message  string // what was expected and what was found
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("position %d: %s", e.Position, e.Message) }

// operator compares a field with a value.
type operator string

// word is text to look for, with its wildcards.
type word struct {
	text string
	// stars are the byte offsets in text at which a * stands for any characters.
	stars []int
	at    int // byte offset in the search
}

// node is a piece of a parsed search: a conjunction, disjunction or negation of
// kids, or one term.
type node struct {
	kind  nodeKind
	kids  []*node
	field string // empty: a free word
	at    int
	op    operator
	value word
}

type nodeKind uint8

const (
	termNode nodeKind = iota
	andNode
	orNode
	notNode
)

// parser reads a search:
//
//	any    = all { "OR" all }
//	all    = one { [ "AND" ] one }
//	one    = ( "NOT" | "-" ) one | "(" any ")" | term
//	term   = field ( ":" | ">" | ">=" | "<" | "<=" ) value | value
//	value  = word | '"' characters '"'
//
// In a word, * stands for any characters; a backslash takes the next character
// as it is. AND, OR, NOT are written in capitals, as in Lucene and KQL.
type parser struct {
	text  string
	pos   int // bytes
	terms int
}

// parseText reads a search. The error is a *SyntaxError.
func parseText(text string) (*node, error) {
	p := &parser{text: text}
	if len(text) > maxTextBytes {
		return nil, p.fail(maxTextBytes, "expected a search of up to %d bytes, found %d", maxTextBytes, len(text))
	}
	if !utf8.ValidString(text) {
		return nil, p.fail(0, "expected UTF-8 text")
	}
	n, err := p.any(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.text) {
		return nil, p.fail(p.pos, "expected the end of the search, found %q (a parenthesis without its opening one)", p.text[p.pos:p.pos+1])
	}
	return n, nil
}

// fail makes an error at a byte offset.
func (p *parser) fail(at int, format string, args ...any) error {
	at = min(at, len(p.text))
	return &SyntaxError{Position: utf8.RuneCountInString(p.text[:at]) + 1, Message: fmt.Sprintf(format, args...)}
}

func (p *parser) space() {
	for p.pos < len(p.text) {
		r, size := utf8.DecodeRuneInString(p.text[p.pos:])
		if !unicode.IsSpace(r) {
			return
		}
		p.pos += size
	}
}

// keyword consumes AND, OR or NOT where it stands as a word of its own.
func (p *parser) keyword(name string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.text[p.pos:], name)
	if !ok || rest != "" && !strings.ContainsAny(rest[:1], " \t\r\n()\"") {
		return false
	}
	p.pos += len(name)
	return true
}

func (p *parser) peek(c byte) bool {
	p.space()
	return p.pos < len(p.text) && p.text[p.pos] == c
}

func (p *parser) any(depth int) (*node, error) {
	if depth > maxTextDepth {
		return nil, p.fail(p.pos, "expected at most %d parentheses within each other", maxTextDepth)
	}
	return p.list(orNode, func() bool { return p.keyword("OR") }, func() (*node, error) { return p.all(depth) })
}

func (p *parser) all(depth int) (*node, error) {
	more := func() bool {
		if p.keyword("AND") {
			return true
		}
		start := p.pos
		or := p.keyword("OR")
		p.pos = start
		return !or && p.pos < len(p.text) && !p.peek(')')
	}
	return p.list(andNode, more, func() (*node, error) { return p.one(depth) })
}

// list parses items while more of them follow; a single one stands for itself.
func (p *parser) list(kind nodeKind, more func() bool, item func() (*node, error)) (*node, error) {
	n, err := item()
	if err != nil {
		return nil, err
	}
	kids := []*node{n}
	for more() {
		if n, err = item(); err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
	if len(kids) == 1 {
		return kids[0], nil
	}
	return &node{kind: kind, kids: kids}, nil
}

func (p *parser) one(depth int) (*node, error) {
	if p.keyword("NOT") || p.minus() {
		if depth >= maxTextDepth {
			return nil, p.fail(p.pos, "expected at most %d levels", maxTextDepth)
		}
		n, err := p.one(depth + 1)
		if err != nil {
			return nil, err
		}
		return &node{kind: notNode, kids: []*node{n}}, nil
	}
	if p.peek('(') {
		open := p.pos
		p.pos++
		n, err := p.any(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.peek(')') {
			return nil, p.fail(open, "expected a closing parenthesis for this one")
		}
		p.pos++
		return n, nil
	}
	return p.term()
}

// minus consumes a - that stands before a term.
func (p *parser) minus() bool {
	if !p.peek('-') || p.pos+1 >= len(p.text) || strings.ContainsAny(p.text[p.pos+1:p.pos+2], " \t\r\n)") {
		return false
	}
	p.pos++
	return true
}

func (p *parser) term() (*node, error) {
	p.space()
	for _, name := range []string{"AND", "OR"} {
		if at := p.pos; p.keyword(name) {
			return nil, p.fail(at, "expected a word or field:value, found %s", name)
		}
	}
	if p.terms++; p.terms > maxTextTerms {
		return nil, p.fail(p.pos, "expected at most %d terms", maxTextTerms)
	}
	n := &node{at: p.pos}
	end := p.pos
	for end < len(p.text) && isNameByte(p.text[end]) {
		end++
	}
	if end > p.pos {
		if op := readOperator(p.text[end:]); op != "" {
			n.field, n.op = p.text[p.pos:end], op
			p.pos = end + len(op)
			if op == ":" { // field:>5 is the same as field>5
				if cmp := readOperator(p.text[p.pos:]); cmp != "" && cmp != ":" {
					n.op = cmp
					p.pos += len(cmp)
				}
			}
		}
	}
	var err error
	n.value, err = p.word(n.field)
	return n, err
}

func isNameByte(c byte) bool {
	letter := c|0x20 >= 'a' && c|0x20 <= 'z'
	return letter || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '@' || c == '-'
}

func readOperator(text string) operator {
	for _, op := range []string{">=", "<=", ">", "<", ":"} {
		if strings.HasPrefix(text, op) {
			return operator(op)
		}
	}
	return ""
}

// word reads a value: a word up to the next space or parenthesis, or a phrase.
func (p *parser) word(field string) (word, error) {
	w := word{at: p.pos}
	quoted := p.pos < len(p.text) && p.text[p.pos] == '"'
	if quoted {
		p.pos++
	}
	var b strings.Builder
	for ; p.pos < len(p.text); p.pos++ {
		c := p.text[p.pos]
		switch {
		case c == '\\':
			if p.pos+1 == len(p.text) {
				return w, p.fail(p.pos, "expected a character after the backslash (write \\\\ for a backslash)")
			}
			// The following bytes of the same character are copied by the loop.
			p.pos++
			b.WriteByte(p.text[p.pos])
			continue
		case quoted && c == '"':
			p.pos++
			w.text = b.String()
			return w, nil
		case !quoted && (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '(' || c == ')'):
			return p.endWord(w, field, b.String())
		case !quoted && c == '"':
			return w, p.fail(p.pos, `expected a quote at the beginning of a phrase, found one within a word (write \" for a quote)`)
		case !quoted && c == '*':
			w.stars = append(w.stars, b.Len())
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return w, p.fail(w.at, "expected a closing quote for this one")
	}
	return p.endWord(w, field, b.String())
}

func (p *parser) endWord(w word, field, text string) (word, error) {
	w.text = text
	if text != "" || len(w.stars) > 0 {
		return w, nil
	}
	if field != "" {
		return w, p.fail(p.pos, `expected a value after %s, found nothing (field:* finds every document that has the field)`, field)
	}
	return w, p.fail(p.pos, "expected a word or field:value, found nothing")
}

// like returns the word as a pattern for LIKE ... ESCAPE '\'.
func (w word) like() string {
	var b strings.Builder
	from := 0
	for _, star := range w.stars {
		b.WriteString(escapeLike(w.text[from:star]))
		b.WriteByte('%')
		from = star
	}
	b.WriteString(escapeLike(w.text[from:]))
	return b.String()
}

// all reports that the word is only a wildcard.
func (w word) all() bool { return w.text == "" && len(w.stars) > 0 }
