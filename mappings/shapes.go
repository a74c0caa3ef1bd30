package mappings

import (
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// shapeSpec is a shape with the place where a file states it.
type shapeSpec struct {
	shape
	node strict.Node
	spec *fileSpec
}

// order puts the shapes into the plan so that of those that hold for a record
// the first takes it, and refuses files that leave open which that is.
//
// More conditions come first. Of two shapes with as many, in different files,
// that one record can meet, one comes first when its file says so (before), or
// when whatever meets it meets the other, too: it is more specific. Otherwise
// they are ambiguous if they have a path in common, and that is an error.
// Shapes without a common path are of different worlds: nearly any two could
// be met by a record made up of both. They keep the order of their files.
func (c *compiler) order() {
	shapes := c.shapes
	slices.SortStableFunc(shapes, func(a, b shapeSpec) int { return b.weight - a.weight })
	c.checkBefore()
	first, specific := make([][]int, len(shapes)), make([][]int, len(shapes)) // of a shape: those before it, and those of them for being more specific
	for i := range shapes {
		a := &shapes[i]
		for j := range i {
			b := &shapes[j]
			if a.spec == b.spec || a.weight != b.weight || c.exclude(a.conditions, b.conditions) {
				continue
			}
			aImplies, bImplies := implies(a.conditions, b.conditions), implies(b.conditions, a.conditions)
			switch {
			case a.spec.isBefore(b.spec):
				first[j] = append(first[j], i)
			case b.spec.isBefore(a.spec):
				first[i] = append(first[i], j)
			case aImplies && !bImplies:
				first[j], specific[j] = append(first[j], i), append(specific[j], i)
			case bImplies && !aImplies:
				first[i], specific[i] = append(first[i], j), append(specific[i], j)
			case related(a.conditions, b.conditions):
				line, column := b.node.Position()
				c.problem(a.node, "add a condition to one of them, or say in one file that it goes before the other, such as before: ["+b.spec.Dataset.Value+"]",
					"a record of this shape could also be %s (%s:%d:%d)", b.spec.Dataset.Value, b.node.File(), line, column)
			}
		}
	}
	at, ok := arrange(first)
	if !ok {
		c.circle(first, at)
		return
	}
	c.plan.shapes = make([]shape, len(shapes))
	for i, to := range at {
		s := &c.plan.shapes[to]
		*s = shapes[i].shape
		for _, j := range specific[i] {
			s.yields = append(s.yields, &c.plan.shapes[at[j]])
		}
	}
}

// arrange gives everything a place behind what comes before it, otherwise in
// the order as it is; false, and -1 for what has none, when that is impossible.
func arrange(first [][]int) (at []int, ok bool) {
	at = slices.Repeat([]int{-1}, len(first))
	waits := func(j int) bool { return at[j] < 0 }
	for place := range first {
		next := 0
		for next < len(first) && (at[next] >= 0 || slices.ContainsFunc(first[next], waits)) {
			next++
		}
		if next == len(first) {
			return at, false
		}
		at[next] = place
	}
	return at, true
}

// circle tells which files want to go before each other.
func (c *compiler) circle(first [][]int, at []int) {
	waits := func(j int) bool { return at[j] < 0 }
	seen, i := []int{}, slices.Index(at, -1)
	for !slices.Contains(seen, i) {
		seen = append(seen, i)
		i = first[i][slices.IndexFunc(first[i], waits)]
	}
	var names []string
	for _, j := range seen[slices.Index(seen, i):] {
		names = append(names, c.shapes[j].spec.Dataset.Value)
	}
	slices.Reverse(names)
	c.problem(c.shapes[i].node, "leave one before out", "each of these goes before the next, and the last before the first: %s", strings.Join(names, ", "))
}

// checkBefore makes sure that files go before files that there are.
func (c *compiler) checkBefore() {
	var names []string
	for _, spec := range c.files.specs {
		names = append(names, spec.Dataset.Value)
	}
	for _, spec := range c.files.specs {
		for _, other := range spec.Before {
			if !slices.Contains(names, other.Value) || other.Value == spec.Dataset.Value {
				c.problemAt(other, suggest(other.Value, names), "expected the dataset of another mapping file, found %q", other.Value)
			}
		}
	}
}

func (s *fileSpec) isBefore(other *fileSpec) bool {
	return slices.ContainsFunc(s.Before, func(name strict.Text) bool { return name.Value == other.Dataset.Value })
}
