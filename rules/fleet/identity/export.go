package identity

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
)

// Export calls yield for what has changed since an earlier export, by key: an
// agent's is its entity. The value is of [Links.AppendTo]; nil says that it was
// forgotten. Next is what the next export begins with; the first begins with 0.
// What was absorbed is no change. It holds Apply up, and no reader.
func (r *Registry) Export(since uint32) (next uint32, entries iter.Seq2[string, []byte]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	type entry struct {
		key   string
		value []byte
	}
	var all []entry
	for _, key := range r.gone {
		all = append(all, entry{key, nil})
	}
	r.gone = nil
	r.eachNode(func(i uint32, n *node) {
		if n.changed <= since {
			return
		}
		if value := r.valueOf(i, n); value != nil {
			all = append(all, entry{r.g.keyOf(n), value})
		}
	})
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	return r.changes, func(yield func(string, []byte) bool) {
		for _, e := range all {
			if !yield(e.key, e.value) {
				return
			}
		}
	}
}

// valueOf returns what is exported of a name; nil for nothing. The same knowledge
// gives the same bytes.
func (r *Registry) valueOf(i uint32, n *node) []byte {
	l := &Links{}
	r.about(l, i, n)
	if l.Empty() {
		return nil
	}
	l.sort()
	return l.AppendTo(nil)
}

// Absorb applies what another registry exported. Where this one knows more it is
// exported again, so that the last to write has what all know. A value of nothing
// is no news: another registry has less room. The error says what is wrong with
// the value.
func (r *Registry) Absorb(value []byte) error {
	if len(value) == 0 {
		return nil
	}
	l, err := Read(value)
	if err != nil {
		return err
	}
	var anchor *Name
	switch {
	case len(l.observations) > 0:
		anchor = &l.observations[0].name
	case len(l.links) > 0:
		anchor = &l.links[0].a
	default:
		return nil
	}
	r.Apply(l)
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.g.named(anchor)
	if i == 0 {
		return nil
	}
	n := r.g.nodes.at(i)
	if bytes.Equal(r.valueOf(i, n), value) {
		n.changed = 0
		return nil
	}
	r.changes++
	n.changed = r.changes
	return nil
}

// Snapshot returns all that is known, in an order that depends on it alone.
func (r *Registry) Snapshot() *Links {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &Links{}
	r.eachNode(func(i uint32, n *node) { r.about(l, i, n) })
	l.sort()
	return l
}

// sort puts links into an order that depends on them alone.
func (l *Links) sort() {
	slices.SortFunc(l.links, func(a, b link) int { return cmp.Or(a.a.compare(b.a), a.b.compare(b.b)) })
	slices.SortFunc(l.observations, func(a, b observation) int { return a.name.compare(b.name) })
	l.sortSources()
}

func (n Name) compare(o Name) int {
	return cmp.Or(cmp.Compare(n.Kind, o.Kind), cmp.Compare(n.Product, o.Product), cmp.Compare(n.Text, o.Text))
}

// sortSources numbers the sources in the order of their names.
func (l *Links) sortSources() {
	before := slices.Clone(l.sources)
	slices.Sort(l.sources)
	for i := range l.links {
		bits := uint32(0)
		for b, name := range before {
			if l.links[i].sources&(1<<b) != 0 {
				bits |= 1 << slices.Index(l.sources, name)
			}
		}
		l.links[i].sources = bits
	}
}

// keyOf names a name among those that are exported.
func (g *graph) keyOf(n *node) string {
	entity := Entity(entityOf(g.products.list[n.product], n.kind, g.textOf(n)))
	if n.kind.ofProduct() {
		return entity.String()
	}
	return n.kind.String() + ":" + entity.String()
}

func (g *graph) nameOf(i uint32) Name {
	n := g.nodes.at(i)
	name := Name{Kind: n.kind, Text: string(append([]byte(nil), g.textOf(n)...))}
	if n.kind.ofProduct() {
		name.Product = g.products.list[n.product]
	}
	return name
}

// about adds what is known of a name, and of the links that begin with it.
func (r *Registry) about(l *Links, i uint32, n *node) {
	g := r.g
	if n.kind.ofProduct() || n.marks&shared != 0 {
		s := observation{name: g.nameOf(i), began: n.began, heard: n.heard, seen: n.seen, marks: n.marks &^ suspect}
		if n.card != 0 {
			c := g.cards.at(n.card)
			for p := range s.values {
				if c.at[p] != 0 {
					s.values[p] = reported{g.values.list[c.value[p]], c.at[p], c.rank[p]}
				}
			}
		}
		l.observations = append(l.observations, s)
	}
	for at := n.edges; at != 0; {
		e := g.edges.at(at)
		at = e.next(i)
		if e.a != i {
			continue
		}
		k := link{a: g.nameOf(e.a), b: g.nameOf(e.b), first: e.first, last: e.last, marks: e.marks, from: n.marks & spelling}
		for bit, name := range g.sources.sources {
			if e.sources&(1<<bit) != 0 {
				k.sources |= l.source(name)
			}
		}
		l.links = append(l.links, k)
	}
}
