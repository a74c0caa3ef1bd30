package identity

// evict forgets the names that were not seen for longest, a sixteenth more than
// there must be, so that it is not done again for every new one.
func (r *Registry) evict() {
	g := r.g
	excess := g.nodes.held() - r.max + r.max/16
	var oldest, newest uint32
	r.eachNode(func(_ uint32, n *node) {
		oldest, newest = earlier(oldest, max(n.seen, 1)), max(newest, n.seen)
	})
	const hour = 3600
	hours := make([]int, (newest-oldest)/hour+1)
	r.eachNode(func(_ uint32, n *node) { hours[(max(n.seen, 1)-oldest)/hour]++ })
	last, before := 0, 0 // The last hour that goes, and how many go with those before it.
	for before+hours[last] < excess {
		before += hours[last]
		last++
	}
	ofLast := excess - before
	r.eachNode(func(i uint32, n *node) {
		switch h := int((max(n.seen, 1) - oldest) / hour); {
		case h > last || h == last && ofLast == 0:
			return
		case h == last:
			ofLast--
		}
		r.forget(i, n)
	})
	if g.texts.wasted*2 > g.texts.size() {
		g.rewrite()
	}
}

// eachNode calls f for every name.
func (r *Registry) eachNode(f func(i uint32, n *node)) {
	for i := uint32(1); i < r.g.nodes.n; i++ {
		if n := r.g.nodes.at(i); n.length > 0 {
			f(i, n)
		}
	}
}

// mostGone bounds the keys of what was forgotten and not exported yet.
const mostGone = 1 << 16

func (r *Registry) forget(i uint32, n *node) {
	g := r.g
	r.stats.evicted.Add(1)
	if n.kind <= Domain || n.kind == Unnamed {
		if len(r.gone) < mostGone {
			r.gone = append(r.gone, g.keyOf(n))
		}
	}
	for n.edges != 0 {
		e := g.edges.at(n.edges)
		if o := e.other(i); g.nodes.at(o).kind == SensorID {
			c := g.cards.at(g.nodes.at(o).card)
			if c.host == i {
				c.host = 0
			}
			if c.hostID == i {
				c.hostID = 0
			}
		}
		g.disconnect(n.edges)
	}
	g.unindex(i, n)
	if n.card != 0 {
		g.cards.remove(n.card)
	}
	delete(g.doubted, i)
	g.texts.wasted += int(n.length)
	*n = node{}
	g.nodes.remove(i)
}

// unindex takes a name out of the index.
func (g *graph) unindex(i uint32, n *node) {
	mask := uint64(len(g.index) - 1)
	for at := g.hash(n.kind, n.product, g.textOf(n)) & mask; ; at = (at + 1) & mask {
		if g.index[at].node == i {
			g.index[at].node = removed
			return
		}
	}
}

// rewrite keeps the texts that are in use and lets the others go.
func (g *graph) rewrite() {
	before := g.texts
	g.texts = texts{}
	for i := uint32(1); i < g.nodes.n; i++ {
		if n := g.nodes.at(i); n.length > 0 {
			n.text = g.texts.add(before.view(n.text, n.length))
		}
	}
}
