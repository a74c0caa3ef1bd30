package engine

import (
	"cmp"
	"slices"

	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/table"
)

// enroll numbers agents that are no longer known and still stand in the list
// of a host.
func (t *entities) enroll(agents *roll) {
	var stale []string
	for name, first := range t.hosts {
		if !agents.holds(first) {
			stale = append(stale, name)
		}
	}
	slices.Sort(stale)
	for _, name := range stale {
		agents.number(t.hosts[name])
	}
	for e := range t.aliases.All() {
		agents.number(e.Data)
	}
	for i := 0; i < len(agents.list); i++ {
		agents.number(agents.list[i].neighbor)
	}
}

// persist writes or reads all that is known of agents.
func (t *entities) persist(a *Archive) {
	n := a.Count(len(a.agents.list), 1)
	if a.Reading() {
		for range n {
			a.agents.list = append(a.agents.list, &Entity{})
		}
	}
	PersistTable(a, t.known, func(e *table.Entry[*Entity]) { t.persistKnown(a, e) })
	// What follows the known are those that only rules remember.
	for i := t.known.Held(); i < len(a.agents.list) && a.Err() == nil; i++ {
		a.Text(&a.agents.list[i].Key)
		a.persistAgent(a.agents.list[i])
	}
	for i := range a.agents.list {
		a.Agent(&a.agents.list[i].neighbor)
	}
	t.persistHosts(a)
	PersistTable(a, t.aliases, func(e *table.Entry[*Entity]) { a.Agent(&e.Data) })
	if a.Reading() && a.Err() == nil && t.circular(a.agents.list) {
		a.Fail("the list of a host's agents never ends")
	}
}

func (t *entities) persistKnown(a *Archive, e *table.Entry[*Entity]) {
	if a.Reading() {
		place := t.known.Held()
		if place >= len(a.agents.list) {
			a.Fail("expected %d agents, found more", len(a.agents.list))
			return
		}
		e.Data = a.agents.list[place]
		e.Data.Key = e.Key
	}
	a.persistAgent(e.Data)
}

// persistHosts writes or reads which agent is the first of each host, in the
// order of the agents. The name is left out where it is the agent's.
func (t *entities) persistHosts(a *Archive) {
	type host struct {
		name  string
		first *Entity
	}
	var hosts []host
	if !a.Reading() {
		hosts = make([]host, 0, len(t.hosts))
		for _, n := range a.agents.list {
			t.buf = AppendShortHost(t.buf[:0], n.HostName)
			if t.hosts[string(t.buf)] == n {
				hosts = append(hosts, host{first: n})
			}
		}
	}
	if len(hosts) < len(t.hosts) { // Some stand under another name than they have.
		hosts = hosts[:0]
		for name, first := range t.hosts {
			hosts = append(hosts, host{name, first})
		}
		slices.SortFunc(hosts, func(x, y host) int {
			return cmp.Or(cmp.Compare(x.first.Number, y.first.Number), cmp.Compare(x.name, y.name))
		})
	}
	snapshot.List(a.Codec, &hosts, func(h *host) {
		a.Agent(&h.first)
		if h.first == nil {
			a.Fail("expected an agent of a host")
			return
		}
		t.buf = AppendShortHost(t.buf[:0], h.first.HostName)
		plain := h.name == "" || h.name == string(t.buf)
		if a.Bool(&plain); !plain {
			a.Text(&h.name)
		}
		if a.Reading() {
			if plain {
				h.name = string(t.buf)
			}
			t.hosts[h.name] = h.first
		}
	})
}

// persistFormerly writes or reads the hosts that agents were on before.
func (t *entities) persistFormerly(a *Archive) {
	var list []*Entity
	for n := range t.formerly {
		if a.agents.holds(n) {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(x, y *Entity) int { return cmp.Compare(x.Number, y.Number) })
	snapshot.List(a.Codec, &list, func(p **Entity) {
		a.Agent(p)
		if *p == nil {
			a.Fail("expected an agent that was on another host")
			return
		}
		name := t.formerly[*p]
		a.Text(&name)
		if a.Reading() {
			t.formerly[*p] = name
		}
	})
}

// circular reports whether to follow neighbors never ends.
func (t *entities) circular(list []*Entity) bool {
	for _, n := range list {
		n.Number = 0
	}
	for i, n := range list {
		// Each agent is walked over once: where another walk came to, it went on to an end.
		for pass := uint32(i + 1); n != nil && n.Number == 0; n = n.neighbor {
			n.Number = pass
		}
		if n != nil && n.Number == uint32(i+1) {
			return true
		}
	}
	return false
}

func (a *Archive) persistAgent(n *Entity) {
	plain := n.ID == n.Key
	if a.Bool(&plain); plain {
		n.ID = n.Key
	} else {
		a.Text(&n.ID)
	}
	a.Time(&n.Present)
	a.Time(&n.PresentSince)
	n.Agent.Persist(a.Codec)
}
