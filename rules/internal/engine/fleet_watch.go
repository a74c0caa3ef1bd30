package engine

import (
	"math"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

// fleetWatch is a session's part in the fleet: it tells the shard of every
// event, ends its steps on time and gives what the judge found to the rules
// about it. To the session's clock it is one more state.
type fleetWatch struct {
	noState
	s      *Session
	fleet  *fleet.Fleet
	shard  *fleet.Shard
	states map[string][]State // By kind of finding.
}

// joinFleet makes the session a part of the fleet when a rule is about it.
func (s *Session) joinFleet(f *fleet.Fleet) {
	states := s.fleetStates()
	if len(states) == 0 && !s.set.judgesWide() {
		return
	}
	if f == nil {
		f = fleet.New(fleet.DefaultConfig(), nil)
	}
	s.fleet = &fleetWatch{s: s, fleet: f, shard: f.Shard(s.partition)}
	s.rejoinFleet()
	s.joinAcross()
}

// joinAcross lets the session's rules about the whole fleet be judged there.
func (s *Session) joinAcross() {
	s.set.joinFleet(s.fleet.fleet, s.options, s.nearMisses, s.fleet.fleet.Exchanged())
}

// rejoinFleet puts the watch behind states that are new.
func (s *Session) rejoinFleet() {
	s.fleet.states = s.fleetStates()
	s.states = append(s.states, s.fleet)
	s.entities.onForget = func(n *Entity) { s.fleet.shard.Evict(&n.Agent) }
	s.entities.onSettle = func(n *Entity, host []byte, moved bool) { s.fleet.shard.Settle(&n.Agent, host, moved, s.now) }
}

// fleetStates are the states of rules about the fleet, by kind of finding.
func (s *Session) fleetStates() map[string][]State {
	states := map[string][]State{}
	for _, st := range s.states {
		if kind := st.FindingKind(); kind != "" {
			states[kind] = append(states[kind], st)
		}
	}
	return states
}

// observeEvent tells the shard of an event.
func (w *fleetWatch) observeEvent(m *Evaluation) {
	var agent *fleet.Agent
	if m.Entity != nil {
		agent = &m.Entity.Agent
	}
	if w.shard.NextStep() == 0 {
		w.shard.Begin(w.fleet.View(m.Now))
	}
	w.shard.Observe(agent, m.Event, m.Now, m.At, m.Event.Feed)
	if agent == nil || agent.Type == "" {
		// What happens to a host happens to its agents, whichever partition knows
		// them.
		if action := m.Event.Str(ecs.EventAction); fleet.IsHostAction(action) {
			if host := w.s.entities.hostOf(m.Event); len(host) > 0 {
				w.shard.Report(host, action, m.Now, m.At)
			}
		}
	}
	w.s.wakeAt(w.shard.NextStep())
}

// refresh takes up what became known of the whole fleet with the steps that
// were closed since. Nothing else of other partitions is ever seen.
func (w *fleetWatch) refresh() {
	if seen, needed := w.shard.Restored(); needed {
		if v := w.fleet.View(seen); v != nil {
			w.shard.Begin(v)
		}
	}
	for seen, ended := w.shard.Behind(); seen < ended; seen, ended = w.shard.Behind() {
		v := w.fleet.NextView(seen, ended)
		if v == nil {
			return
		}
		for _, h := range v.Hosts {
			for n := w.s.entities.hosts[h.Host]; n != nil; n = n.neighbor {
				w.shard.Incident(&n.Agent, h, v.End)
			}
		}
		w.shard.Advance(v)
	}
}

// explains reports whether it is explained that an agent is not heard: it, or
// its host, said goodbye, or its site or its feed is dark.
func (w *fleetWatch) explains(n *Entity) bool {
	return n.SaidGoodbye() || w.shard.Dark(&n.Agent) || w.shard.Waiting(&n.Agent)
}

func (w *fleetWatch) leaveFleet() { w.fleet.Leave(w.shard) }

func (w *fleetWatch) Next() int64 {
	if end := w.shard.NextStep(); end > 0 {
		return end
	}
	return math.MaxInt64
}

func (w *fleetWatch) Fire(int64) {
	step := w.shard.EndStep(w.s.target)
	step.Agents = w.s.entities.known.Held()
	raise(w.states, w.fleet.Take(w.shard, step, w.s.rebuilding), w.s.emit)
	w.refresh()
}

// Persist writes or reads the shard.
func (w *fleetWatch) Persist(a *Archive) {
	w.shard.Persist(a.Codec, func(p **fleet.Agent) {
		number := 0
		if !a.Reading() {
			number = int((*p).Number)
		}
		snapshot.Int(a.Codec, &number)
		switch {
		case !a.Reading():
		case number <= 0 || number > len(a.agents.list):
			a.Fail("expected one of %d agents, found number %d", len(a.agents.list), number)
		default:
			*p = &a.agents.list[number-1].Agent
		}
	})
	if !a.Reading() || a.Err() != nil {
		return
	}
	for _, n := range a.agents.list {
		if !w.shard.Adopt(&n.Agent) {
			a.Fail("agent %q stands in no place of the fleet's", n.Key)
			return
		}
	}
}
