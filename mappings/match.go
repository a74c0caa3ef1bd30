package mappings

import (
	"strings"
	"unicode/utf8"

	"github.com/edrwatch/edrwatch/mappings/internal/scan"
)

// pattern is a text to compare with: plain, or with * at its beginning, its
// end or both; * alone is any text. Case is not distinguished.
type pattern struct {
	text   string
	kind   patternKind
	anchor int // of an infix: where it has a byte without case that is rare in texts; -1 for none
}

type patternKind uint8

const (
	equal patternKind = iota
	prefix
	suffix
	infix
	anything
)

func newPattern(s string) pattern {
	begin, end := strings.HasPrefix(s, "*"), strings.HasSuffix(s, "*")
	switch {
	case strings.Trim(s, "*") == "" && begin:
		return pattern{kind: anything}
	case begin && end:
		text := s[1 : len(s)-1]
		return pattern{text, infix, anchorOf(text)}
	case begin:
		return pattern{text: s[1:], kind: suffix}
	case end:
		return pattern{text: s[:len(s)-1], kind: prefix}
	}
	return pattern{text: s}
}

func (p *pattern) matches(s string) bool {
	switch p.kind {
	case anything:
		return true
	case equal:
		return len(s) == len(p.text) && strings.EqualFold(s, p.text)
	case prefix:
		return len(s) >= len(p.text) && strings.EqualFold(s[:len(p.text)], p.text)
	case suffix:
		return len(s) >= len(p.text) && strings.EqualFold(s[len(s)-len(p.text):], p.text)
	default:
		return p.within(s)
	}
}

// anchorOf returns where a text has the rarest of its bytes that have no case.
func anchorOf(text string) int {
	for _, c := range []byte("|<>({}[]_;=:\\/-.,0123456789 ") {
		if i := strings.IndexByte(text, c); i >= 0 {
			return i
		}
	}
	return -1
}

func (p *pattern) within(s string) bool {
	if p.anchor >= 0 {
		for at := p.anchor; at < len(s); at++ {
			i := strings.IndexByte(s[at:], p.text[p.anchor])
			if i < 0 {
				return false
			}
			at += i
			start := at - p.anchor
			end := start + len(p.text)
			if end > len(s) {
				return false
			}
			if c := s[start]; (c|0x20 == p.text[0]|0x20 || (c|p.text[0]) >= utf8.RuneSelf) && strings.EqualFold(s[start:end], p.text) {
				return true
			}
		}
		return false
	}
	first := p.text[0]
	for i := 0; i+len(p.text) <= len(s); i++ {
		if first < utf8.RuneSelf && s[i]|0x20 != first|0x20 {
			continue
		}
		if strings.EqualFold(s[i:i+len(p.text)], p.text) {
			return true
		}
	}
	return false
}

// condition holds when the first of its sources that is there matches one of
// the patterns; of a list one element suffices.
type condition struct {
	sources  []source
	patterns []pattern
	present  bool // a pattern takes anything, objects and arrays too
}

func (c *condition) holds(m *Mapper) bool {
	if c.present {
		for i := range c.sources {
			if from := &c.sources[i]; m.has(from) && !m.isEmptyList(from) {
				return true
			}
		}
		return false
	}
	for i := range c.sources {
		from := &c.sources[i]
		if from.isKey {
			if list := m.at[from.key]; list != 0 && m.tape.Nodes[list].Kind == scan.Array {
				return c.holdsForOne(m, int(list))
			}
		}
		if t, ok := m.text(from); ok {
			return c.matches(t.s)
		}
	}
	return false
}

// isEmptyList reports whether a path has a list without elements, which is no
// value.
func (m *Mapper) isEmptyList(from *source) bool {
	if !from.isKey {
		return false
	}
	i := m.at[from.key]
	return m.tape.Nodes[i].Kind == scan.Array && m.tape.Nodes[i].Next == i+1
}

// holdsForOne reports whether one element of a list matches.
func (c *condition) holdsForOne(m *Mapper, list int) bool {
	nodes := m.tape.Nodes
	for i := list + 1; i < int(nodes[list].Next); i = int(nodes[i].Next) {
		if t, ok := m.textAt(i); ok && c.matches(t.s) {
			return true
		}
	}
	return false
}

func (c *condition) matches(s string) bool {
	for i := range c.patterns {
		if c.patterns[i].matches(s) {
			return true
		}
	}
	return false
}

func holdAll(m *Mapper, conditions []condition) bool {
	for i := range conditions {
		if !conditions[i].holds(m) {
			return false
		}
	}
	return true
}

func holdAny(m *Mapper, conditions []condition) bool {
	for i := range conditions {
		if conditions[i].holds(m) {
			return true
		}
	}
	return false
}
