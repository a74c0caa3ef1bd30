package mappings

import (
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// maxPassed is how many keys a field may have between dots to be passed.
const maxPassed = 4

// pass moves every field of the dictionary below some objects that stands in
// the record under its own name. It looks at what the record has, not at all
// that it could have.
type pass struct {
	moves map[uint16]step
	byKey []step // by the number of the path
}

func (s *pass) index(keys int) {
	s.byKey = make([]step, keys)
	for key, move := range s.moves {
		s.byKey[key] = move
	}
}

func (s *pass) run(m *Mapper) {
	for _, key := range m.touched {
		if move := s.byKey[key]; move != nil && m.at[key] != 0 {
			move.run(m)
		}
	}
}

// pass compiles the objects whose fields have the dictionary's names already.
func (c *compiler) pass(spec *fileSpec) {
	if len(spec.Pass) == 0 {
		return
	}
	out := &pass{moves: map[uint16]step{}}
	for _, object := range spec.Pass {
		count := 0
		for i := range c.dict.Len() {
			f := c.dict.Field(ecs.ID(i))
			below := f.Name == object.Value || strings.HasPrefix(f.Name, object.Value+".")
			if !below || f.Kind == ecs.JSON || f.Custom || f.Name == "event.action" || strings.Count(f.Name, ".") >= maxPassed || !c.dict.Layout().Place(ecs.ID(i)).Leaf {
				continue
			}
			key := c.plan.keys.add(f.Name)
			out.moves[key] = c.simplest(c.newMove(ecs.ID(i), []source{{key: key, isKey: true}}, &valueSpec{Scale: 1}))
			count++
		}
		if count == 0 {
			c.problemAt(object, suggest(object.Value, c.topLevel()), "the dictionary has no object %q", object.Value)
		}
	}
	c.mapping.pass = out
	c.mapping.steps = append(c.mapping.steps, guard(out))
}

// topLevel returns the names that the dictionary's fields begin with.
func (c *compiler) topLevel() []string {
	var names []string
	for _, name := range c.names {
		name, _, _ = strings.Cut(name, ".")
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
