package kinds

import (
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/table"
)

// subjects remembers whom a key is about: the agent, or for a key that stands
// for many the distinct names of their hosts.
type subjects struct {
	agent *engine.Entity
	hosts []string
}

func (w *subjects) add(r *engine.Rule, m *engine.Evaluation) {
	w.agent = m.Entity
	if r.PerAgent() || m.Entity == nil || len(w.hosts) >= engine.MaxHosts {
		return
	}
	if name := m.Entity.HostLabel(); !slices.Contains(w.hosts, name) {
		w.hosts = append(w.hosts, strings.Clone(name))
	}
}

// entity is the agent of a key that stands for one.
func (w *subjects) entity(r *engine.Rule) *engine.Entity {
	if r.PerAgent() {
		return w.agent
	}
	return nil
}

func (w *subjects) names() []string { return slices.Clone(w.hosts) }

// Weight takes hosts to have names of one length.
func (w *subjects) Weight() int { return table.TextsWeight(w.hosts) }

// openOf calls end for an episode that is about somebody.
func (w *subjects) openOf(ep *engine.Episode, end func(engine.OpenAlert), key string, r *engine.Rule) {
	if ep.Firing() {
		end(engine.OpenAlert{Episode: ep, Key: key, Entity: w.entity(r), Hosts: w.names()})
	}
}

func (w *subjects) persist(a *engine.Archive) {
	a.Agent(&w.agent)
	a.PersistTexts(&w.hosts)
}
