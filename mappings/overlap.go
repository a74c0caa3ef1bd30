package mappings

import (
	"slices"
	"strings"
)

// related reports whether two shapes have a path in common.
func related(a, b []condition) bool {
	return slices.ContainsFunc(a, func(x condition) bool {
		return slices.ContainsFunc(b, func(y condition) bool { return x.sources[0].key == y.sources[0].key })
	})
}

// exclude reports whether no record can meet the conditions of both shapes.
func (c *compiler) exclude(a, b []condition) bool {
	return slices.ContainsFunc(a, func(x condition) bool {
		return slices.ContainsFunc(b, func(y condition) bool { return c.contradict(&x, &y) })
	})
}

// contradict reports whether two conditions cannot hold for one record: they
// want different texts at one path, or one wants a text where the other wants
// something below. (Lists, of which one element suffices, hold texts of one
// kind in all that is mapped.)
func (c *compiler) contradict(a, b *condition) bool {
	p, q := c.plan.keys.paths[a.sources[0].key], c.plan.keys.paths[b.sources[0].key]
	switch {
	case p == q:
		return !a.present && !b.present && !overlap(a.patterns, b.patterns)
	case strings.HasPrefix(q, p):
		return !a.present && !isDigit(q[len(p)])
	case strings.HasPrefix(p, q):
		return !b.present && !isDigit(p[len(q)])
	}
	return false
}

func isDigit(c byte) bool { return c-'0' < 10 }

// implies reports whether every record that meets the conditions a meets the
// conditions b.
func implies(a, b []condition) bool {
	for i := range b {
		if !slices.ContainsFunc(a, func(x condition) bool { return x.sources[0].key == b[i].sources[0].key && narrower(&x, &b[i]) }) {
			return false
		}
	}
	return true
}

// narrower reports whether whatever matches a matches b.
func narrower(a, b *condition) bool {
	if b.present || a.present {
		return b.present
	}
	for i := range a.patterns {
		if !slices.ContainsFunc(b.patterns, func(q pattern) bool { return q.covers(&a.patterns[i]) }) {
			return false
		}
	}
	return true
}

// covers reports whether every text that matches q matches p.
func (p *pattern) covers(q *pattern) bool {
	switch {
	case p.kind == anything:
		return true
	case q.kind == anything:
		return false
	case q.kind == equal, p.kind == q.kind, p.kind == infix:
		return p.matches(q.text)
	}
	return false
}

// overlap reports whether some text could match a pattern of both lists.
// Patterns with * are taken to overlap unless one plain text decides it, or
// two beginnings or ends differ.
func overlap(a, b []pattern) bool {
	return slices.ContainsFunc(a, func(p pattern) bool {
		return slices.ContainsFunc(b, func(q pattern) bool {
			switch {
			case p.kind == equal:
				return q.matches(p.text)
			case q.kind == equal:
				return p.matches(q.text)
			case p.kind == q.kind && (p.kind == prefix || p.kind == suffix):
				return p.matches(q.text) || q.matches(p.text)
			}
			return true
		})
	})
}
