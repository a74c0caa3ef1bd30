package sigma

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
)

// node is a part of a condition: an operator over parts, or the name of a
// search identifier.
type node struct {
	op    string // and, or, not; "" for a name.
	parts []node
	name  string
}

// parseCondition reads Sigma's condition language.
func parseCondition(text string, names []string) (node, error) {
	if len(text) > maxCondition {
		return node{}, fmt.Errorf("the condition has %d bytes, at most %d are allowed", len(text), maxCondition)
	}
	p := conditionParser{tokens: tokens(text), names: names}
	n, err := p.or()
	if err != nil {
		return n, err
	}
	if p.at < len(p.tokens) {
		if p.tokens[p.at] == "|" {
			return n, fmt.Errorf("aggregations after | are no longer part of Sigma: write a correlation")
		}
		return n, fmt.Errorf("condition %q: unexpected %q", text, p.tokens[p.at])
	}
	return n, nil
}

// Limits of a condition: "1 of them" stands for as many searches as there are,
// each time.
const (
	maxCondition = 16 << 10 // Bytes.
	maxSearches  = 4096     // Named, or meant by a pattern.

	maxConditions = 64 // Of a rule; one of them has to hold.
)

func tokens(text string) []string {
	var list []string
	word := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-*?.", r)
	}
	runes := []rune(text)
	for i := 0; i < len(runes); {
		switch {
		case unicode.IsSpace(runes[i]):
			i++
		case word(runes[i]):
			j := i
			for j < len(runes) && word(runes[j]) {
				j++
			}
			list = append(list, string(runes[i:j]))
			i = j
		default:
			list = append(list, string(runes[i]))
			i++
		}
	}
	return list
}

type conditionParser struct {
	tokens []string
	at     int
	names  []string
	depth  int
	named  int // Searches that the condition has named so far.
}

func (p *conditionParser) peek() string {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return ""
}

func (p *conditionParser) is(word string) bool { return strings.EqualFold(p.peek(), word) }

func (p *conditionParser) or() (node, error)  { return p.chain("or", p.and) }
func (p *conditionParser) and() (node, error) { return p.chain("and", p.not) }

func (p *conditionParser) chain(op string, next func() (node, error)) (node, error) {
	first, err := next()
	if err != nil || !p.is(op) {
		return first, err
	}
	n := node{op: op, parts: []node{first}}
	for p.is(op) {
		p.at++
		part, err := next()
		if err != nil {
			return n, err
		}
		n.parts = append(n.parts, part)
	}
	return n, nil
}

func (p *conditionParser) not() (node, error) {
	if p.depth++; p.depth > 50 {
		return node{}, fmt.Errorf("the condition is nested more than 50 deep")
	}
	defer func() { p.depth-- }()
	if p.is("not") {
		p.at++
		inner, err := p.not()
		return node{op: "not", parts: []node{inner}}, err
	}
	word := p.peek()
	p.at++
	switch {
	case word == "":
		return node{}, fmt.Errorf("the condition ends too early")
	case word == "(":
		inner, err := p.or()
		if err == nil && p.peek() != ")" {
			err = fmt.Errorf("a ) is missing in the condition")
		}
		p.at++
		return inner, err
	case (word == "1" || strings.EqualFold(word, "any") || strings.EqualFold(word, "all")) && p.is("of"):
		p.at++
		return p.of(strings.EqualFold(word, "all"))
	case slices.Contains(p.names, word):
		return node{name: word}, nil
	}
	return node{}, fmt.Errorf("the condition names %q, which detection does not define", word)
}

// of reads what follows "1 of" or "all of".
func (p *conditionParser) of(all bool) (node, error) {
	pattern := p.peek()
	p.at++
	n := node{op: "or"}
	if all {
		n.op = "and"
	}
	for _, name := range p.names {
		hit := pattern == "them" && !strings.HasPrefix(name, "_")
		if pattern != "them" {
			hit, _ = path.Match(pattern, name)
		}
		if hit {
			if p.named++; p.named > maxSearches {
				return n, fmt.Errorf("the condition means more than %d searches with %q", maxSearches, pattern)
			}
			n.parts = append(n.parts, node{name: name})
		}
	}
	if len(n.parts) == 0 {
		return n, fmt.Errorf("%q in the condition fits none of %s", pattern, strings.Join(p.names, ", "))
	}
	return n, nil
}
