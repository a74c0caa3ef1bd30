package identity

import (
	"cmp"
	"slices"
	"time"
)

// Contradiction is what names of agents say that cannot be true of one agent on
// one host. It is listed and counted, and nothing is merged because of it.
type Contradiction struct {
	Reason Reason   `json:"reason"`
	Agents []Agent  `json:"agents"`
	Names  []string `json:"names"` // one host's name that several have, or the several names of one agent
}

// Agent names an agent in a contradiction.
type Agent struct {
	Entity   Entity    `json:"entity"`
	Product  string    `json:"product"`
	ID       string    `json:"id"`
	LastSeen time.Time `json:"last_seen"`
}

// Reason is a kind of contradiction.
type Reason string

// The kinds of contradictions.
const (
	// TwoHosts says that records name one agent on several hosts in turn: a clone.
	TwoHosts Reason = "one id on several hosts"
	// TwoAgents says that several agents of one product live on one host.
	TwoAgents Reason = "several ids on one host"
	// Everywhere says that more hosts have the id than any agent can.
	Everywhere Reason = "one id on very many hosts"
)

// Contradictions returns what contradicts itself now, at most limit of it, and
// how much there is in all.
func (r *Registry) Contradictions(limit int) (list []Contradiction, total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.g.doubted {
		if c, ok := r.g.contradiction(i, r.g.nodes.at(i)); ok {
			total++
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b Contradiction) int {
		return cmp.Or(cmp.Compare(a.Agents[0].Entity, b.Agents[0].Entity), cmp.Compare(a.Reason, b.Reason), slices.Compare(a.Names, b.Names))
	})
	return list[:min(len(list), limit)], total
}

// contradiction looks at one name.
func (g *graph) contradiction(i uint32, n *node) (Contradiction, bool) {
	switch {
	case n.kind == SensorID && n.marks&shared != 0:
		return Contradiction{Everywhere, []Agent{g.agent(i)}, nil}, true
	case n.marks&suspect == 0 || n.marks&shared != 0:
		return Contradiction{}, false
	case n.kind == SensorID:
		for _, kind := range [...]Kind{Short, HostID} {
			if names := g.namesOf(i, kind); len(names) > 1 && g.one(i, kind) == 0 {
				return Contradiction{TwoHosts, []Agent{g.agent(i)}, names}, true
			}
		}
	case n.kind == Short || n.kind == HostID:
		if rivals := g.rivals(i); len(rivals) > 0 {
			return Contradiction{TwoAgents, rivals, []string{g.nameOf(i).Text}}, true
		}
	}
	return Contradiction{}, false
}

// namesOf returns the names of a kind that i has now, in order.
func (g *graph) namesOf(i uint32, kind Kind) (names []string) {
	for at := g.nodes.at(i).edges; at != 0; {
		e := g.edges.at(at)
		o := e.other(i)
		at = e.next(i)
		if g.nodes.at(o).kind == kind && !g.left(i, o, e) {
			names = append(names, g.nameOf(o).Text)
		}
	}
	slices.Sort(names)
	return names
}

// rivals returns the agents of one product that have a name at once. Agents whose
// domains differ are on different hosts.
func (g *graph) rivals(name uint32) (list []Agent) {
	products := map[uint16]bool{}
	for at := g.nodes.at(name).edges; at != 0; {
		e := g.edges.at(at)
		if o := g.nodes.at(e.other(name)); o.kind == SensorID {
			products[o.product] = true
		}
		at = e.next(name)
	}
	for product := range products {
		if _, ambiguous := g.current(name, product, nil); !ambiguous {
			continue
		}
		var rivals []uint32
		latest := uint32(0)
		for i, e := range g.claims(name, product) {
			latest = max(latest, g.life(i, e))
		}
		for i, e := range g.claims(name, product) {
			if g.life(i, e)+livingFor >= latest {
				rivals = append(rivals, i)
			}
		}
		if g.apart(rivals) {
			continue
		}
		for _, i := range rivals {
			list = append(list, g.agent(i))
		}
	}
	slices.SortFunc(list, func(a, b Agent) int { return cmp.Or(cmp.Compare(a.Product, b.Product), cmp.Compare(a.ID, b.ID)) })
	return list
}

// apart reports whether agents are all in domains of their own.
func (g *graph) apart(agents []uint32) bool {
	seen := map[uint32]bool{}
	for _, i := range agents {
		whole := g.one(i, FQDN)
		if whole == 0 || seen[whole] {
			return false
		}
		seen[whole] = true
	}
	return true
}

func (g *graph) agent(i uint32) Agent {
	n := g.nodes.at(i)
	return Agent{Entity(g.cards.at(n.card).entity), g.products.list[n.product], g.nameOf(i).Text, time.Unix(int64(max(n.heard, n.seen)), 0).UTC()}
}
