package identity

import (
	"hash/maphash"
)

// graph holds names and what links them. Who reads it must keep it from being
// changed meanwhile.
type graph struct {
	seed     maphash.Seed
	index    []slot
	filled   int // slots that are not empty
	nodes    paged[node]
	edges    paged[edge]
	cards    paged[card]
	texts    texts
	values   interned // of properties
	products interned
	sources  Links               // its sources alone
	doubted  map[uint32]struct{} // names that may contradict others, or that too many share
}

// slot of the index: a hash table with linear probing.
type slot struct{ mark, node uint32 }

// removed in a slot says that its node is gone.
const removed = ^uint32(0)

// node is one name.
type node struct {
	text               place
	length             uint8
	kind               Kind
	product            uint16
	marks              marks
	began, heard, seen uint32 // seconds since 1970
	edges              uint32 // the first
	card               uint32 // of an agent; 0: none
	changed            uint32 // number of the change
}

// edge links two names. It is in the lists of both.
type edge struct {
	a, b, nextA, nextB uint32
	first, last        uint32 // seconds since 1970
	sources            uint32
	marks              marks
}

// card is what is known of an agent.
type card struct {
	entity uint64
	value  [properties]uint32 // places in graph.values
	at     [properties]uint32 // seconds since 1970
	rank   [properties]Rank

	// What follows from the links: the host's name and id.
	hostCase     marks
	host, hostID uint32 // nodes; 0: unknown, or several
}

// interned keeps texts that many agents share.
type interned struct {
	list  []string
	known map[string]uint32
}

// maxInterned bounds texts that a hostile record could make up.
const maxInterned = 1 << 16

// add returns the place of a text, false where there is no room for it.
func (t *interned) add(text string) (uint32, bool) {
	if i, ok := t.known[text]; ok {
		return i, true
	}
	if len(t.list) >= maxInterned {
		return 0, false
	}
	if t.known == nil {
		t.known = map[string]uint32{}
	}
	kept := string(append([]byte(nil), text...))
	i := uint32(len(t.list))
	t.list = append(t.list, kept)
	t.known[kept] = i
	return i, true
}

func newGraph() *graph {
	g := &graph{seed: maphash.MakeSeed(), index: make([]slot, 1<<10), doubted: map[uint32]struct{}{}}
	g.values.add("")
	g.products.add("")
	return g
}

func (g *graph) textOf(n *node) string { return g.texts.view(n.text, n.length) }

// hash is of a name's text; kinds and products differ.
func (g *graph) hash(kind Kind, product uint16, text string) uint64 {
	h := maphash.String(g.seed, text)
	h ^= (uint64(kind)<<16 | uint64(product)) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// find returns the node of a name, 0 where there is none.
func (g *graph) find(kind Kind, product uint16, text string) uint32 {
	h := g.hash(kind, product, text)
	mask := uint64(len(g.index) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		s := &g.index[i]
		if s.node == 0 {
			return 0
		}
		if s.mark != uint32(h>>32) || s.node == removed {
			continue
		}
		if n := g.nodes.at(s.node); n.kind == kind && n.product == product && g.textOf(n) == text {
			return s.node
		}
	}
}

// productOf returns the number of a product, false for one that was not heard of.
func (g *graph) productOf(name string) (uint16, bool) {
	i, ok := g.products.known[name]
	return uint16(i), ok
}

// mostProducts is in how many products a sensor id without one is looked for.
const mostProducts = 64

// productBy returns the only product that has a sensor id; "" where none or several
// have it.
func (g *graph) productBy(sensor string) (product string) {
	for i, name := range g.products.list[:min(len(g.products.list), mostProducts)] {
		if name == "" || g.find(SensorID, uint16(i), sensor) == 0 {
			continue
		}
		if product != "" {
			return ""
		}
		product = name
	}
	return product
}

// named returns the node of a name.
func (g *graph) named(n *Name) uint32 {
	product, ok := uint16(0), true
	if n.Kind.ofProduct() {
		product, ok = g.productOf(n.Product)
	}
	if !ok {
		return 0
	}
	return g.find(n.Kind, product, n.Text)
}

// obtain returns the node of a name, which is made where there is none; 0 where
// there are too many products.
func (g *graph) obtain(name *Name) uint32 {
	if i := g.named(name); i != 0 {
		return i
	}
	product := uint32(0)
	if name.Kind.ofProduct() {
		var ok bool
		if product, ok = g.products.add(name.Product); !ok {
			return 0
		}
	}
	i := g.nodes.add()
	n := g.nodes.at(i)
	n.text, n.length, n.kind, n.product = g.texts.add(name.Text), uint8(len(name.Text)), name.Kind, uint16(product)
	if name.Kind.ofProduct() {
		n.card = g.cards.add()
		g.cards.at(n.card).entity = entityOf(name.Product, name.Kind, name.Text)
	}
	if g.filled++; g.filled*10 > len(g.index)*7 {
		g.grow()
	}
	g.place(i)
	return i
}

// place puts a node into the index.
func (g *graph) place(i uint32) {
	n := g.nodes.at(i)
	h := g.hash(n.kind, n.product, g.textOf(n))
	mask := uint64(len(g.index) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		if s := &g.index[at]; s.node == 0 {
			*s = slot{uint32(h >> 32), i}
			return
		}
	}
}

// grow makes the index larger, or only sweeps it where much was removed.
func (g *graph) grow() {
	size := len(g.index)
	for g.nodes.held()*2 > size {
		size *= 2
	}
	before := g.index
	g.index, g.filled = make([]slot, size), 1 // The one that is to come.
	mask := uint64(size - 1)
	for _, s := range before {
		if s.node == 0 || s.node == removed {
			continue
		}
		g.filled++
		n := g.nodes.at(s.node)
		for at := g.hash(n.kind, n.product, g.textOf(n)) & mask; ; at = (at + 1) & mask {
			if to := &g.index[at]; to.node == 0 {
				*to = s
				break
			}
		}
	}
}

// other returns the name at the other end of an edge of i.
func (e *edge) other(i uint32) uint32 {
	if e.a == i {
		return e.b
	}
	return e.a
}

// next returns the edge that follows in the list of i.
func (e *edge) next(i uint32) uint32 {
	if e.a == i {
		return e.nextA
	}
	return e.nextB
}

// between returns the edge of two names, 0 where there is none. The list of the
// first is looked through.
func (g *graph) between(a, b uint32) uint32 {
	for i := g.nodes.at(a).edges; i != 0; {
		e := g.edges.at(i)
		if e.other(a) == b {
			return i
		}
		i = e.next(a)
	}
	return 0
}

// connect makes an edge.
func (g *graph) connect(a, b uint32) *edge {
	i := g.edges.add()
	e, na, nb := g.edges.at(i), g.nodes.at(a), g.nodes.at(b)
	e.a, e.b, e.nextA, e.nextB = a, b, na.edges, nb.edges
	na.edges, nb.edges = i, i
	return e
}

// disconnect removes an edge.
func (g *graph) disconnect(i uint32) {
	e := g.edges.at(i)
	g.unlist(e.a, i)
	g.unlist(e.b, i)
	g.edges.remove(i)
}

func (g *graph) unlist(node, gone uint32) {
	n := g.nodes.at(node)
	at := &n.edges
	for *at != gone {
		e := g.edges.at(*at)
		if e.a == node {
			at = &e.nextA
		} else {
			at = &e.nextB
		}
	}
	*at = g.edges.at(gone).next(node)
}

// sharedBy removes all links of a name that too many have.
func (g *graph) sharedBy(i uint32) {
	n := g.nodes.at(i)
	n.marks |= shared
	g.doubted[i] = struct{}{}
	for n.edges != 0 {
		g.disconnect(n.edges)
	}
}
