package expression

import (
	"fmt"
	"slices"
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
		p := parsePattern(s.Value)
		if !c.charge(arg, p.steps()) {
			return operand{node: n}
		}
		patterns = append(patterns, p)
	}
	return booleanOf(n, anyCut(subject, func(s string) bool {
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
	within := len(cut(s, maxText)) // Only there is a text searched; its ends cost nothing.
	for _, part := range p.parts[1 : len(p.parts)-1] {
		end := part.find(s[:within])
		if end < 0 {
			return false
		}
		s, within = s[end:], within-end
	}
	return last.suffix(s)
}

// steps bounds what a text of maxText bytes can cost.
func (p *pattern) steps() int {
	sum := 0
	for _, part := range p.parts {
		sum = bounded(sum, len(part), 1)
	}
	if len(p.parts) > 2 {
		for _, part := range p.parts[1 : len(p.parts)-1] {
			sum = bounded(sum, maxText, 1+part.overlap())
		}
	}
	return sum
}

// overlap is how many places a character of a text can be compared for at the
// most: those where a match may begin while others before it still go on. With
// "aaaa" these are four; most words have one or two. It is the longest chain of
// borders, see Knuth, Morris and Pratt (1977); where one character stands for
// any there is no such bound, and the length is taken.
func (p piece) overlap() int {
	if slices.Contains(p, one) {
		return len(p)
	}
	border, chain, longest := make([]int, len(p)+1), make([]int, len(p)+1), 0
	for i := 1; i < len(p); i++ {
		k := border[i]
		for k > 0 && p[i] != p[k] {
			k = border[k]
		}
		if p[i] == p[k] {
			k++
		}
		border[i+1] = k
		if k > 0 {
			chain[i+1] = chain[k] + 1
		}
		longest = max(longest, chain[i+1])
	}
	return longest
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
