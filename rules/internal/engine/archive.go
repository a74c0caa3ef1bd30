package engine

import (
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/table"
)

// Archive writes the state of a session, or reads it.
type Archive struct {
	*snapshot.Codec
	agents *roll
	known  *table.Keyed[*Entity] // nil where keys are no agents', or these are not known yet.
}

// roll numbers the agents of a snapshot, from 1.
type roll struct{ list []*Entity }

// holds reports whether an agent has its number.
func (r *roll) holds(n *Entity) bool {
	i := int(n.Number)
	return i > 0 && i <= len(r.list) && r.list[i-1] == n
}

// number returns that of an agent, which it gets if need be: a rule may
// remember one that the session has forgotten.
func (r *roll) number(n *Entity) int {
	if n == nil {
		return 0
	}
	if r.holds(n) {
		return int(n.Number)
	}
	r.list = append(r.list, n)
	n.Number = uint32(len(r.list))
	return len(r.list)
}

// persistPresence writes or reads since when agents are alive, or why not.
func (r *roll) persistPresence(c *snapshot.Codec) {
	n := c.Count(len(r.list), 1)
	if c.Reading() && n != len(r.list) {
		c.Fail("the presence of %d agents, of which there are %d", n, len(r.list))
		return
	}
	for _, agent := range r.list {
		agent.PersistPresence(c)
	}
}

// Agent is a reference to an agent.
func (a *Archive) Agent(p **Entity) {
	number := 0
	if !a.Reading() {
		number = a.agents.number(*p)
	}
	snapshot.Int(a.Codec, &number)
	if !a.Reading() {
		return
	}
	*p = nil
	switch {
	case number < 0 || number > len(a.agents.list):
		a.Fail("expected one of %d agents, found number %d", len(a.agents.list), number)
	case number > 0:
		*p = a.agents.list[number-1]
	}
}

// PersistTable writes or reads all keys of a rule in the order of their use, with
// their timers; each does the data.
func PersistTable[T any](a *Archive, k *table.Keyed[T], each func(e *table.Entry[T])) {
	k.Persist(a.Codec, a.persistKey, each)
}

// persistKey writes or reads a key: of a rule by agent it is a number, and the
// text that the agent has.
func (a *Archive) persistKey(key *string) {
	if a.known == nil {
		a.Text(key)
		return
	}
	var n *Entity
	if !a.Reading() {
		if e := a.known.Peek(*key); e != nil {
			n = e.Data
		}
	}
	if a.Agent(&n); n == nil {
		a.Text(key)
		return
	}
	*key = n.Key
}

// PersistTexts writes or reads a list of texts.
func (a *Archive) PersistTexts(list *[]string) { snapshot.List(a.Codec, list, a.Shared) }
