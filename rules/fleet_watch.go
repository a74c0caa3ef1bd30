package rules

import (
	"math"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// fleetWatch is a session's part in the fleet: it tells the shard of every
// event, ends its steps on time and gives what the judge found to the rules
// about it. To the session's clock it is one more state.
type fleetWatch struct {
	s      *Session
	fleet  *fleet.Fleet
	shard  *fleet.Shard
	states map[string][]*fleetState // By kind of finding.
}

// joinFleet makes the session a part of the fleet when a rule is about it.
func (s *Session) joinFleet(f *fleet.Fleet) {
	states := map[string][]*fleetState{}
	for _, st := range s.states {
		if fs, ok := st.(*fleetState); ok {
			states[fs.kind] = append(states[fs.kind], fs)
		}
	}
	if len(states) == 0 && f == nil {
		return
	}
	if f == nil {
		f = fleet.New(fleet.DefaultConfig())
	}
	s.fleet = &fleetWatch{s: s, fleet: f, shard: f.Shard(), states: states}
	s.states = append(s.states, s.fleet)
	s.entities.known.onEvict = func(e *entry[*entity]) { s.fleet.shard.Evict(&e.data.Agent) }
}

// tell tells the shard of an event.
func (w *fleetWatch) tell(m *moment) {
	var agent *fleet.Agent
	if m.entity != nil {
		agent = &m.entity.Agent
	}
	w.shard.Observe(agent, m.e, m.now, m.at, m.e.Feed)
	w.s.wakeAt(w.shard.NextStep())
}

// explains reports whether something larger than the agent explains that it is
// not heard: its site or its feed is dark.
func (w *fleetWatch) explains(n *entity) bool {
	return w.fleet.SiteDark(n.Site) || w.shard.Waiting(&n.Agent)
}

func (w *fleetWatch) leave() { w.fleet.Leave(w.shard) }

func (w *fleetWatch) next() int64 {
	if end := w.shard.NextStep(); end > 0 {
		return end
	}
	return math.MaxInt64
}

func (w *fleetWatch) fire(int64) {
	findings := w.fleet.Take(w.shard, w.shard.EndStep(w.s.target))
	for i := range findings {
		for _, st := range w.states[findings[i].Kind] {
			st.tell(&findings[i])
		}
	}
}

// observe is never called: the watch sees all events through tell.
func (w *fleetWatch) observe(int, *moment) {}
func (w *fleetWatch) step(int64) int64     { return math.MaxInt64 }
func (w *fleetWatch) keys() (int, uint64)  { return 0, 0 }
