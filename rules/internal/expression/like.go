package expression

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// compileLike compiles like(field, "a*", …): whether a text fits one of the
// patterns, in which * stands for any characters, ? for one, and a backslash
// takes the meaning from a * or ? or backslash after it. Case does not count,
// as in Sigma and in EQL's like~.
func (c *compiler) compileLike(n ast.Node, args []ast.Node) operand {
	if len(args) < 2 {
		return c.at(n, "like takes a text and at least one pattern", "")
	}
	subject := c.compile(args[0])
	if !c.expect(subject, String, "as the first argument of like") {
		return operand{node: n}
	}
	var patterns []pattern
	for _, arg := range args[1:] {
		s, ok := arg.(*ast.StringNode)
		if !ok {
			return c.at(arg, fmt.Sprintf("%s is not a constant pattern", arg.String()), "")
		}
		patterns = append(patterns, parsePattern(s.Value))
	}
	return booleanOf(n, anyText(subject, func(s string) bool {
		for i := range patterns {
			if patterns[i].matches(s) {
				return true
			}
		}
		return false
	}), subject.needs)
}

// pattern is a text with wildcards.
type pattern struct {
	parts []piece // Between the stars.
}

// piece is text with single wildcards, in lower case.
type piece []rune

// one stands for any one character.
const one = rune(-1)

func parsePattern(s string) pattern {
	var p pattern
	var current piece
	escaped := false
	runes := []rune(s)
	for i, r := range runes {
		switch {
		case escaped:
			escaped = false
			current = append(current, r)
		case r == '\\' && i+1 < len(runes) && strings.ContainsRune(`*?\`, runes[i+1]):
			escaped = true
		case r == '*':
			p.parts = append(p.parts, current)
			current = nil
		case r == '?':
			current = append(current, one)
		default:
			current = append(current, []rune(strings.ToLower(string(r)))...)
		}
	}
	p.parts = append(p.parts, current)
	return p
}

// matches reports whether the whole text fits.
func (p *pattern) matches(s string) bool {
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	n, ok := first.prefix(s)
	if !ok {
		return false
	}
	if len(p.parts) == 1 {
		return n == len(s)
	}
	s = s[n:]
	for _, part := range p.parts[1 : len(p.parts)-1] {
		end := part.find(s)
		if end < 0 {
			return false
		}
		s = s[end:]
	}
	return last.suffix(s)
}

// prefix matches at the start and returns the bytes taken.
func (p piece) prefix(s string) (n int, ok bool) {
	for _, want := range p {
		if n >= len(s) {
			return 0, false
		}
		r, size := rune(s[n]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[n:])
		}
		if want != one && !sameFold(r, want) {
			return 0, false
		}
		n += size
	}
	return n, true
}

// sameFold compares a character with one in lower case.
func sameFold(r, lower rune) bool {
	switch {
	case r == lower:
		return true
	case r < utf8.RuneSelf:
		return r >= 'A' && r <= 'Z' && r|0x20 == lower
	}
	return strings.ToLower(string(r)) == string(lower)
}

// find returns the end of the first place where the piece matches; -1: none.
func (p piece) find(s string) int {
	for i := 0; i <= len(s); {
		if n, ok := p.prefix(s[i:]); ok {
			return i + n
		}
		if i == len(s) {
			break
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		i += size
	}
	return -1
}

// suffix matches at the end.
func (p piece) suffix(s string) bool {
	if len(p) == 0 {
		return true
	}
	start := len(s)
	for range p {
		if start == 0 {
			return false
		}
		_, size := utf8.DecodeLastRuneInString(s[:start])
		start -= size
	}
	n, ok := p.prefix(s[start:])
	return ok && start+n == len(s)
}
