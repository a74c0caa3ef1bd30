package mappings

import (
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// trace notes where the fields of the event at hand come from.
type trace struct {
	paths   map[uint16]string // of a key
	origins map[ecs.ID]string
}

// Traced makes a Mapper note where fields come from, for [Mapper.Origin]. It
// costs time and memory; it is for people who look at single records.
func Traced() Option {
	return func(m *Mapper) {
		m.trace = &trace{paths: map[uint16]string{}, origins: map[ecs.ID]string{}}
		for path, key := range m.plan.keys.byPath {
			m.trace.paths[key] = path
		}
	}
}

// Origin says where a field of the last event comes from: the path in the
// record, "constant" for what the mapping says of all its records, or how it
// was computed. It is "" for a field that no mapping has set.
func (m *Mapper) Origin(field ecs.ID) string {
	if m.trace == nil {
		return ""
	}
	return m.trace.origins[field]
}

// run runs the steps of a block.
func (m *Mapper) run(steps []guarded) {
	for i := range steps {
		g := &steps[i]
		switch {
		case g.needs != 0 && m.at[g.needs] == 0:
		case m.trace != nil:
			m.runTraced(g.step)
		default:
			g.step.run(m)
		}
	}
}

// runTraced runs one step and notes which fields it has set, and from what.
func (m *Mapper) runTraced(one step) {
	t := m.trace
	before := map[ecs.ID]event.Value{}
	for id, v := range m.event.Fields {
		before[id] = *v
	}
	one.run(m)
	if _, ok := one.(*cases); ok {
		return // Its steps were traced one by one.
	}
	origin := m.originOf(one)
	for id, v := range m.event.Fields {
		if old, ok := before[id]; !ok || !same(&old, v) {
			t.origins[id] = origin
		}
	}
}

// same reports whether a step has left a value alone.
func same(a, b *event.Value) bool {
	if a.Kind() != b.Kind() || len(a.List()) != len(b.List()) || a.Str() != b.Str() || a.Int() != b.Int() {
		return false
	}
	for i, s := range a.List() {
		if b.List()[i] != s {
			return false
		}
	}
	return true
}

// originOf names what a step has read.
func (m *Mapper) originOf(one step) string {
	switch s := one.(type) {
	case *set:
		return "constant"
	case *copyText:
		return m.firstPath(s.general.sources)
	case *move:
		return m.firstPath(s.sources)
	case *firstOf:
		for _, move := range s.moves {
			if path := m.firstPath(move.sources); path != "constant" {
				return path
			}
		}
		return "constant"
	case *classify:
		if s.from != nil {
			return m.firstPath(s.from.sources)
		}
		return "action of the kind of event"
	case *timestamp:
		for i := range s.sources {
			if path := m.firstPath([]source{s.sources[i].source}); path != "constant" {
				return path
			}
		}
	case *enrich:
		return "table by " + m.firstPath(s.sources)
	case *elapsed:
		return "time since " + m.event.Dictionary().Field(s.start).Name
	case *pass:
		return "field of the same name"
	}
	return "computed"
}

// firstPath names the first of the sources that has a value.
func (m *Mapper) firstPath(sources []source) string {
	for i := range sources {
		s := &sources[i]
		switch {
		case s.isKey && m.at[s.key] != 0:
			return strings.Clone(m.trace.paths[s.key])
		case !s.isKey && m.event.Has(s.field):
			name := m.event.Dictionary().Field(s.field).Name
			if from := m.trace.origins[s.field]; from != "" {
				return name + " (" + from + ")"
			}
			return name
		}
	}
	return "constant" // The default of the file.
}
