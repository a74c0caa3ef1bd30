package engine

import (
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// Agents calls yield for every agent and host that the session knows, the
// one unheard for longest first, until it returns false. It is the one method that other goroutines
// may call: it waits for the event in progress and holds the next one up, so
// that yield has to be short. It must not keep the agent; its strings it may.
// It implements fleet.Roster.
func (s *Session) Agents(yield func(*fleet.Agent) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := range s.entities.known.All() {
		if !yield(&e.Data.Agent) {
			return
		}
	}
}
