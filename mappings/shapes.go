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

// checkShapes refuses two files that could both take a record with nothing to
// prefer one: shapes with as many conditions that do not contradict each
// other. Files that both give topics or headers are told apart by those.
func (c *compiler) checkShapes() {
	for i := range c.shapes {
		for j := range i {
			a, b := &c.shapes[i], &c.shapes[j]
			if a.spec == b.spec || len(a.conditions) != len(b.conditions) || a.spec.hints() && b.spec.hints() || contradict(a.conditions, b.conditions) {
				continue
			}
			line, column := b.node.Position()
			c.problem(a.node, "add a condition to one of them, or topics to both",
				"a record of this shape could also be %s (%s:%d:%d)", b.spec.Dataset.Value, b.node.File(), line, column)
		}
	}
}

func (s *fileSpec) hints() bool { return len(s.Topics)+len(s.Headers) > 0 }

// contradict reports whether no record can meet both: a path would need two
// different values.
func contradict(a, b []condition) bool {
	for i := range a {
		for j := range b {
			if !slices.Equal(a[i].sources, b[j].sources) || a[i].present || b[j].present {
				continue
			}
			if !overlap(a[i].patterns, b[j].patterns) {
				return true
			}
		}
	}
	return false
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
