package identity

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Config bounds a registry.
type Config struct {
	// MaxNames is how many names of agents and hosts are known at most; those that were not seen for longest are forgotten
	// for new ones. A million agents with four names each take about 450 MiB.
	MaxNames int `yaml:"max_names"`
}

// DefaultConfig returns bounds for more than a million agents.
func DefaultConfig() Config { return Config{MaxNames: 6_000_000} }

// leastNames is the least MaxNames that makes sense.
const leastNames = 1000

// Validate reports settings that make no sense.
func (c *Config) Validate() error {
	if c.MaxNames < leastNames {
		return fmt.Errorf("max_names: expected at least %d, found %d", leastNames, c.MaxNames)
	}
	return nil
}

// Registry knows the names of agents and hosts. It is safe for concurrent use.
// Readers do not wait for each other; they wait while links are applied.
type Registry struct {
	max int

	mu      sync.Mutex // of Apply, and of the list of readers
	readers []*Reader
	g       *graph // changed only while all readers are locked
	changes uint32
	touched []uint32
	gone    []string // keys of what was forgotten, for Export
	stats   stats
}

// stats are counted while links are applied.
type stats struct{ evicted, shared, refused, applied atomic.Uint64 }

// New returns a registry that knows no name.
func New(cfg Config) *Registry {
	if cfg.MaxNames <= 0 {
		cfg = DefaultConfig()
	}
	return &Registry{max: cfg.MaxNames, g: newGraph(), changes: 1}
}

// Reader returns a reader for one goroutine, such as that of a shard. Close
// gives it back.
func (r *Registry) Reader() *Reader {
	rd := &Reader{r: r}
	r.mu.Lock()
	defer r.mu.Unlock()
	rd.g = r.g
	r.readers = append(r.readers, rd)
	return rd
}

func (r *Registry) leave(rd *Reader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, other := range r.readers {
		if other == rd {
			r.readers[i] = r.readers[len(r.readers)-1]
			r.readers = r.readers[:len(r.readers)-1]
			return
		}
	}
}

// hold keeps all readers from reading; it returns what lets them go on.
func (r *Registry) hold() (release func()) {
	for _, rd := range r.readers {
		rd.mu.Lock()
	}
	return func() {
		for _, rd := range r.readers {
			rd.mu.Unlock()
		}
	}
}

// Apply makes links known to all readers. What is known afterwards does not
// depend on the order of links, nor on how often they are applied.
func (r *Registry) Apply(batches ...*Links) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, l := range batches {
		n += l.Len()
	}
	if n == 0 {
		return
	}
	defer r.hold()()
	r.changes++
	r.touched = r.touched[:0]
	for _, l := range batches {
		if l != nil {
			r.merge(l)
		}
	}
	for _, i := range r.touched {
		r.settle(i)
	}
	r.locateTouched()
	if r.g.nodes.held() > r.max {
		r.evict()
	}
	r.stats.applied.Add(uint64(n))
}

// merge adds links without a look at what they contradict. Names of which it says
// nothing new are left untouched.
func (r *Registry) merge(l *Links) {
	g := r.g
	var sources [maxSources]uint32
	for i, name := range l.sources[:min(len(l.sources), maxSources)] {
		sources[i] = g.sources.source(name)
	}
	for i := range l.observations {
		r.mergeObservation(&l.observations[i])
	}
	for i := range l.links {
		k := &l.links[i]
		a, b := g.obtain(&k.a), g.obtain(&k.b)
		if a == 0 || b == 0 || a == b {
			r.stats.refused.Add(1)
			continue
		}
		r.note(a, k.first, 0, k.last, k.from&spelling)
		r.note(b, k.first, 0, k.last, k.marks&spelling)
		if (g.nodes.at(a).marks|g.nodes.at(b).marks)&shared != 0 {
			continue
		}
		var e *edge
		if at := g.between(a, b); at != 0 {
			e = g.edges.at(at)
		} else {
			e = g.connect(a, b)
		}
		before := *e
		e.first, e.last, e.marks = earlier(e.first, k.first), max(e.last, k.last), e.marks|k.marks
		for bit := range len(l.sources) {
			if k.sources&(1<<bit) != 0 {
				e.sources |= sources[bit]
			}
		}
		if *e != before {
			r.touch(a)
			r.touch(b)
		}
	}
}

// note keeps when a name was seen and how it was written.
func (r *Registry) note(i, began, heard, seen uint32, m marks) {
	n := r.g.nodes.at(i)
	before := *n
	n.began, n.heard, n.seen, n.marks = earlier(n.began, began), max(n.heard, heard), max(n.seen, seen, heard), n.marks|m
	if *n != before {
		r.touch(i)
	}
}

func (r *Registry) mergeObservation(s *observation) {
	g := r.g
	i := g.obtain(&s.name)
	if i == 0 {
		r.stats.refused.Add(1)
		return
	}
	r.note(i, s.began, s.heard, s.seen, s.marks&^(shared|suspect))
	n := g.nodes.at(i)
	if s.marks&shared != 0 && n.marks&shared == 0 {
		g.sharedBy(i)
		r.touch(i)
	}
	if n.card == 0 {
		return
	}
	c := g.cards.at(n.card)
	before := *c
	for p := range s.values {
		if s.values[p].at != 0 {
			r.report(c, Property(p), &s.values[p])
		}
	}
	if *c != before {
		r.touch(i)
	}
}

// report keeps the property that is to be believed more.
func (r *Registry) report(c *card, p Property, t *reported) {
	g := r.g
	have := reported{g.values.list[c.value[p]], c.at[p], c.rank[p]}
	if !have.yields(p, t) {
		return
	}
	value, ok := g.values.add(t.value)
	if !ok {
		r.stats.refused.Add(1)
		return
	}
	c.value[p], c.at[p], c.rank[p] = value, t.at, t.rank
}

// earlier returns the smaller of two times, of which 0 is none.
func earlier(a, b uint32) uint32 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func (r *Registry) touch(i uint32) {
	if n := r.g.nodes.at(i); n.changed != r.changes {
		n.changed = r.changes
		r.touched = append(r.touched, i)
	}
}

// most is how many links a name has to names of one kind at most. A name that
// more have is one that software or hardware makes up for many, and links nothing.
// Only of a host's name those are left out that are over: whoever is reinstalled
// every hour keeps its name.
func most(of Kind) int {
	switch of {
	case Serial, MAC, DeviceID, EntraID:
		return 8 // A docking station; a host with several products.
	}
	return 32
}

// takesTurns reports whether agents may have a name one after the other, as the
// desktops of a pool do.
func takesTurns(of, to Kind) bool {
	return to == SensorID && (of == Short || of == FQDN || of == Domain)
}

// settle looks after a name that has new links: it cuts what is too much, and
// notes where there may be a contradiction.
func (r *Registry) settle(i uint32) {
	g := r.g
	n := g.nodes.at(i)
	if n.marks&shared != 0 {
		return
	}
	var count [kinds]int
	var products [8]uint16 // of the agents; of more it is taken that two are of one product
	rivals := false
	for at := n.edges; at != 0; {
		e := g.edges.at(at)
		at = e.next(i)
		o := g.nodes.at(e.other(i))
		if o.kind == SensorID {
			known := products[:min(count[SensorID], len(products))]
			rivals = rivals || slices.Contains(known, o.product) || len(known) == len(products)
			if !rivals {
				products[count[SensorID]] = o.product
			}
		}
		count[o.kind]++
	}
	for _, kind := range [...]Kind{SensorID, HostID, FQDN, Domain, Short} {
		if count[kind] > 1 && (kind != SensorID || rivals) {
			r.suspect(i, kind)
		}
	}
	for kind := range kinds {
		limit := most(n.kind)
		if count[kind] > limit && (!takesTurns(n.kind, kind) || r.thin(i, kind) > limit) {
			g.sharedBy(i)
			r.stats.shared.Add(1)
			return
		}
	}
}

// suspect marks a name and those of a kind that it is linked with: of them it is
// asked more often whether they still are.
func (r *Registry) suspect(i uint32, kind Kind) {
	g := r.g
	n := g.nodes.at(i)
	n.marks |= suspect
	g.doubted[i] = struct{}{}
	for at := n.edges; at != 0; {
		e := g.edges.at(at)
		if o := e.other(i); g.nodes.at(o).kind == kind {
			g.nodes.at(o).marks |= suspect
			g.doubted[o] = struct{}{}
		}
		at = e.next(i)
	}
}

// thin removes links of a host's name to agents that are over, and returns how
// many are left: those of which nothing was seen for a day while others were, and
// those that another took the place of.
func (r *Registry) thin(i uint32, kind Kind) (left int) {
	g := r.g
	n := g.nodes.at(i)
	var latest, newest uint32
	for at := n.edges; at != 0; {
		e := g.edges.at(at)
		if o := g.nodes.at(e.other(i)); o.kind == kind {
			latest, newest = max(latest, e.last, o.heard), max(newest, e.first)
		}
		at = e.next(i)
	}
	for at := n.edges; at != 0; {
		e := g.edges.at(at)
		next := e.next(i)
		if o := g.nodes.at(e.other(i)); o.kind == kind {
			switch life := max(e.last, o.heard); {
			case life+livingFor < latest, e.first < newest && life <= newest+slack:
				g.disconnect(at)
			default:
				left++
			}
		}
		at = next
	}
	return left
}

// locateTouched finds again on which host agents are whose links, or whose
// host's links, are new.
func (r *Registry) locateTouched() {
	g := r.g
	for _, i := range r.touched {
		n := g.nodes.at(i)
		if n.kind == SensorID {
			g.locate(i)
			continue
		}
		for at := n.edges; at != 0; {
			e := g.edges.at(at)
			o := e.other(i)
			switch other := g.nodes.at(o); {
			case other.kind == SensorID:
				g.locate(o)
			case n.kind == HostID: // A host is found by its name, and its id by that.
				g.locateBy(o)
			}
			at = e.next(i)
		}
	}
}

// locateBy notes on which host the agents are that have a name.
func (g *graph) locateBy(name uint32) {
	for at := g.nodes.at(name).edges; at != 0; {
		e := g.edges.at(at)
		if o := e.other(name); g.nodes.at(o).kind == SensorID {
			g.locate(o)
		}
		at = e.next(name)
	}
}
