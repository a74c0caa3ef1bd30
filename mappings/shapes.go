package mappings

import (
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// shapeSpec is a shape with the place where a file states it.
type shapeSpec struct {
	node       strict.Node
	spec       *fileSpec
	conditions []condition
}

// checkShapes refuses two files that ask for the same of a record: the same
// paths, with values that no path tells apart. Files that both give topics or
// headers are told apart by those. Where two different shapes happen to hold
// for one record, the one with more conditions counts, then the one whose file
// comes first by path.
func (c *compiler) checkShapes() {
	slices.SortStableFunc(c.plan.shapes, func(a, b shape) int { return b.weight - a.weight })
	for i := range c.shapes {
		for j := range i {
			a, b := &c.shapes[i], &c.shapes[j]
			if a.spec == b.spec || a.spec.hints() && b.spec.hints() || !sameShape(a.conditions, b.conditions) {
				continue
			}
			line, column := b.node.Position()
			c.problem(a.node, "add a condition to one of them, or topics to both",
				"a record of this shape could also be %s (%s:%d:%d)", b.spec.Dataset.Value, b.node.File(), line, column)
		}
	}
}

func (s *fileSpec) hints() bool { return len(s.Topics)+len(s.Headers) > 0 }

func sameShape(a, b []condition) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		counterpart := slices.IndexFunc(b, func(other condition) bool { return slices.Equal(a[i].sources, other.sources) })
		if counterpart < 0 {
			return false
		}
		other := &b[counterpart]
		if !a[i].present && !other.present && !overlap(a[i].patterns, other.patterns) {
			return false
		}
	}
	return true
}

// overlap reports whether some text could match a pattern of both lists.
// Patterns with * are taken to overlap unless one plain text decides it, or
// two beginnings differ.
func overlap(a, b []pattern) bool {
	for _, p := range a {
		for _, q := range b {
			switch {
			case p.kind == equal:
				if q.matches(p.text) {
					return true
				}
			case q.kind == equal:
				if p.matches(q.text) {
					return true
				}
			case p.kind == prefix && q.kind == prefix:
				if p.matches(q.text) || q.matches(p.text) {
					return true
				}
			default:
				return true
			}
		}
	}
	return false
}
