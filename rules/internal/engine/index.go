package engine

import (
	"cmp"
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// index finds the hooks that an event can satisfy. Every hook stands under one
// of its alternatives of necessary atoms: equal values in a hash per field,
// beginnings in one by their lengths, numeric bounds in sorted lists, presence in a list per field. A value under
// which many hooks stand has an index of their other alternatives below it, so
// that a thousand rules about one event.action cost no more than ten.
//
// The idea of necessary atoms is that of A-Tree (SIGMOD 2021) and of the
// witnesses of other rule engines; it never loses a hook and may propose some
// that turn out false.
type index struct {
	root  node
	watch node // Hooks that some states want to see as well.
	words int  // Of the bit set of candidates.
}

// node is one level of the index.
type node struct {
	always []int32
	fields []fieldIndex
}

// fieldIndex holds the hooks that stand under one field.
type fieldIndex struct {
	field   ecs.ID
	equal   map[string]*node
	begin   map[string]*node // By beginning.
	lengths []int            // Of the beginnings, ascending.
	atLeast []bound          // Ascending: those up to the value apply.
	atMost  []bound          // Descending: those down to the value apply.
	present *node
}

type bound struct {
	number float64
	hook   int32
}

// Limits of the index below a value: where fewer hooks stand, evaluating them
// is cheaper than another lookup.
const (
	fewHooks = 6
	maxDepth = 3
)

func newIndex(hooks []boundHook) index {
	all := make([]int32, len(hooks))
	var watched []int32
	watchers := slices.Clone(hooks)
	for i := range hooks {
		all[i] = int32(i)
		if watchers[i].Alternatives = hooks[i].Watch; hooks[i].Watch != nil {
			watched = append(watched, int32(i))
		}
	}
	return index{root: buildNode(hooks, all, nil), watch: buildNode(watchers, watched, nil), words: (len(hooks) + 63) / 64}
}

// buildNode places hooks under their cheapest alternative that does not name a
// field of the levels above.
func buildNode(hooks []boundHook, members []int32, above []ecs.ID) node {
	var n node
	if len(members) <= fewHooks && len(above) > 0 || len(above) >= maxDepth {
		n.always = members
		return n
	}
	b := builder{equal: map[expression.Atom][]int32{}, begin: map[expression.Atom][]int32{}, present: map[ecs.ID][]int32{}, fields: map[ecs.ID]*fieldIndex{}}
	for _, h := range members {
		if alt := choose(hooks[h].Alternatives, above); alt != nil {
			b.place(h, alt)
		} else {
			n.always = append(n.always, h)
		}
	}
	for atom, list := range b.equal {
		f := b.field(atom.Field)
		if f.equal == nil {
			f.equal = make(map[string]*node)
		}
		child := buildNode(hooks, list, append(slices.Clone(above), atom.Field))
		f.equal[atom.Text] = &child
	}
	for atom, list := range b.begin {
		f := b.field(atom.Field)
		if f.begin == nil {
			f.begin = make(map[string]*node)
		}
		child := buildNode(hooks, list, append(slices.Clone(above), atom.Field))
		f.begin[atom.Text] = &child
		if n := len(atom.Text); !slices.Contains(f.lengths, n) {
			f.lengths = append(f.lengths, n)
		}
	}
	for field, list := range b.present {
		child := buildNode(hooks, list, append(slices.Clone(above), field))
		b.field(field).present = &child
	}
	for _, f := range b.fields {
		slices.Sort(f.lengths)
		slices.SortFunc(f.atLeast, func(a, b bound) int { return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.hook, b.hook)) })
		slices.SortFunc(f.atMost, func(a, b bound) int { return cmp.Or(cmp.Compare(b.number, a.number), cmp.Compare(a.hook, b.hook)) })
		n.fields = append(n.fields, *f)
	}
	slices.SortFunc(n.fields, func(a, b fieldIndex) int { return cmp.Compare(a.field, b.field) })
	return n
}

// choose returns the cheapest alternative without the given fields.
func choose(alternatives []expression.Alternative, above []ecs.ID) expression.Alternative {
	var chosen expression.Alternative
	for _, alt := range alternatives {
		if slices.ContainsFunc(alt, func(a expression.Atom) bool { return slices.Contains(above, a.Field) }) {
			continue
		}
		if chosen == nil || alt.Cost() < chosen.Cost() {
			chosen = alt
		}
	}
	return chosen
}

// builder collects the postings of one level.
type builder struct {
	equal   map[expression.Atom][]int32
	begin   map[expression.Atom][]int32
	present map[ecs.ID][]int32
	fields  map[ecs.ID]*fieldIndex
}

func (b *builder) field(id ecs.ID) *fieldIndex {
	f := b.fields[id]
	if f == nil {
		f = &fieldIndex{field: id}
		b.fields[id] = f
	}
	return f
}

func (b *builder) place(h int32, alt expression.Alternative) {
	for _, atom := range alt {
		switch atom.Op {
		case expression.Equal:
			b.equal[atom] = append(b.equal[atom], h)
		case expression.Prefix:
			atom.Text = cutBeginning(atom.Text)
			b.begin[atom] = append(b.begin[atom], h)
		case expression.AtLeast:
			f := b.field(atom.Field)
			f.atLeast = append(f.atLeast, bound{atom.Number, h})
		case expression.AtMost:
			f := b.field(atom.Field)
			f.atMost = append(f.atMost, bound{atom.Number, h})
		case expression.Present:
			b.present[atom.Field] = append(b.present[atom.Field], h)
		}
	}
}

// cutBeginning cuts a beginning to one of a few lengths, each of which costs a
// lookup for every event that has the field.
func cutBeginning(text string) string {
	for _, n := range []int{32, 24, 16, 12, 8, 6, 4, 3, 2} {
		if len(text) >= n {
			return text[:n]
		}
	}
	return text
}

// candidates sets the bits of the hooks that the event can satisfy.
func (x *index) candidates(e *event.Event, bits []uint64) { x.root.collect(e, bits) }

func (n *node) collect(e *event.Event, bits []uint64) {
	for _, h := range n.always {
		bits[h>>6] |= 1 << (h & 63)
	}
	for i := range n.fields {
		f := &n.fields[i]
		if v := e.Get(f.field); v != nil {
			f.collect(e, v, bits)
		}
	}
}

func (f *fieldIndex) collect(e *event.Event, v *event.Value, bits []uint64) {
	if f.present != nil {
		f.present.collect(e, bits)
	}
	if f.equal != nil {
		if list := v.List(); list != nil {
			for _, s := range list {
				if child := f.equal[s]; child != nil {
					child.collect(e, bits)
				}
			}
		} else if child := f.equal[v.Str()]; child != nil {
			child.collect(e, bits)
		}
	}
	if f.begin != nil {
		if list := v.List(); list != nil {
			for _, s := range list {
				f.collectBeginnings(e, s, bits)
			}
		} else {
			f.collectBeginnings(e, v.Str(), bits)
		}
	}
	if f.atLeast == nil && f.atMost == nil {
		return
	}
	number := v.Float()
	for _, b := range f.atLeast {
		if b.number > number {
			break
		}
		bits[b.hook>>6] |= 1 << (b.hook & 63)
	}
	for _, b := range f.atMost {
		if b.number < number {
			break
		}
		bits[b.hook>>6] |= 1 << (b.hook & 63)
	}
}

func (f *fieldIndex) collectBeginnings(e *event.Event, s string, bits []uint64) {
	for _, n := range f.lengths {
		if n > len(s) {
			return
		}
		if child := f.begin[s[:n]]; child != nil {
			child.collect(e, bits)
		}
	}
}
