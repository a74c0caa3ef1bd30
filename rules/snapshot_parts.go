package rules

import (
	"cmp"
	"slices"

	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
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
	for e := range t.aliases.all() {
		agents.number(e.data)
	}
	for i := 0; i < len(agents.list); i++ {
		agents.number(agents.list[i].neighbor)
	}
}

// persist writes or reads all that is known of agents.
func (t *entities) persist(a *archive) {
	n := a.Count(len(a.agents.list), 1)
	if a.Reading() {
		for range n {
			a.agents.list = append(a.agents.list, &entity{})
		}
	}
	persist(a, t.known, func(e *entry[*entity]) { t.persistKnown(a, e) })
	// What follows the known are those that only rules remember.
	for i := t.known.held(); i < len(a.agents.list) && a.Err() == nil; i++ {
		a.Text(&a.agents.list[i].key)
		a.persistAgent(a.agents.list[i])
	}
	for i := range a.agents.list {
		a.agent(&a.agents.list[i].neighbor)
	}
	t.persistHosts(a)
	persist(a, t.aliases, func(e *entry[*entity]) { a.agent(&e.data) })
	if a.Reading() && a.Err() == nil && t.circular(a.agents.list) {
		a.Fail("the agents of a host follow each other in a circle")
	}
}

func (t *entities) persistKnown(a *archive, e *entry[*entity]) {
	if a.Reading() {
		place := t.known.held()
		if place >= len(a.agents.list) {
			a.Fail("expected %d agents, found more", len(a.agents.list))
			return
		}
		e.data = a.agents.list[place]
		e.data.key = e.key
	}
	a.persistAgent(e.data)
}

// persistHosts writes or reads which agent is the first of each host, in the
// order of the agents. The name is left out where it is the agent's.
func (t *entities) persistHosts(a *archive) {
	type host struct {
		name  string
		first *entity
	}
	var hosts []host
	if !a.Reading() {
		hosts = make([]host, 0, len(t.hosts))
		for _, n := range a.agents.list {
			t.buf = appendShort(t.buf[:0], n.HostName)
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
		a.agent(&h.first)
		if h.first == nil {
			a.Fail("expected an agent of a host")
			return
		}
		t.buf = appendShort(t.buf[:0], h.first.HostName)
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
func (t *entities) persistFormerly(a *archive) {
	var list []*entity
	for n := range t.formerly {
		if a.agents.holds(n) {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(x, y *entity) int { return cmp.Compare(x.Number, y.Number) })
	snapshot.List(a.Codec, &list, func(p **entity) {
		a.agent(p)
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
func (t *entities) circular(list []*entity) bool {
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

func (a *archive) persistAgent(n *entity) {
	plain := n.ID == n.key
	if a.Bool(&plain); plain {
		n.ID = n.key
	} else {
		a.Text(&n.ID)
	}
	a.Time(&n.present)
	a.Time(&n.presentSince)
	n.Agent.Persist(a.Codec)
}

func (ep *episode) persist(a *archive) {
	a.Text(&ep.id)
	if ep.id == "" {
		return // Nothing was told yet.
	}
	a.Time(&ep.start)
	snapshot.Int(a.Codec, &ep.count)
	snapshot.Int(a.Codec, &ep.sequence)
	a.Shared(&ep.severity)
	a.Float(&ep.risk)
}

func (w *subjects) persist(a *archive) {
	a.agent(&w.agent)
	a.persistTexts(&w.hosts)
}

func (a *archive) persistTexts(list *[]string) { snapshot.List(a.Codec, list, a.Shared) }

func (t *trace) persist(a *archive) {
	ids, n := t.ids(), t.n
	a.Bytes(&ids)
	snapshot.Int(a.Codec, &n)
	if !a.Reading() {
		return
	}
	*t = trace{buf: ids}
	for b := ids; len(b) > 0; t.n++ {
		if len(b) < 10 || b[8] == 0 || len(b) < 9+int(b[8]) || t.n == maxTraced {
			a.Fail("the ids of events end early, or are more than %d", maxTraced)
			return
		}
		t.sums[t.n] = idSum(string(b[9 : 9+int(b[8])]))
		b = b[9+int(b[8]):]
	}
	if n != t.n {
		a.Fail("expected %d ids of events, found %d", n, t.n)
	}
}

func (k *dataKey) persist(a *archive) {
	a.Time(&k.heard)
	a.Bool(&k.missing)
	k.gone.persist(a)
}

func (w *dataWatch) persist(a *archive) { a.Time(&w.stalled) }

func (l *bucketSamples) persist(a *archive) {
	snapshot.List(a.Codec, (*[]bucketSample)(l), func(s *bucketSample) {
		a.Time(&s.at)
		a.Float(&s.value)
		a.Shared(&s.text)
	})
	if a.Reading() && !slices.IsSortedFunc(*l, func(x, y bucketSample) int { return cmp.Compare(x.at, y.at) }) {
		a.Fail("samples are not in order of time")
	}
}

func (o *occurrences) persist(a *archive) {
	persist(a, o.table, func(e *entry[occurrence]) {
		k := &e.data
		k.episode.persist(a)
		a.agent(&k.entity)
		a.persistTexts(&k.hosts)
		a.Time(&k.last)
		a.Time(&k.atLeast)
	})
}
