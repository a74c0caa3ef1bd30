package engine

import (
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// Plan is a compiled rule, from which the states of sessions are made.
type Plan interface {
	// Hooks are the conditions under which the state wants to see events.
	Hooks() []Hook
	// Horizon is how far back records have to be read again to rebuild the
	// state.
	Horizon() time.Duration
	// NewState makes the state of a session, without memory.
	NewState(s *Session, r *Rule) State
	// Traits are what the engine and the test runs have to know of the kind.
	Traits() Traits
}

// SharePlan is a plan that counts agents, and may ask for a share of the fleet.
type SharePlan interface {
	Plan
	// AgentsNeeded is how many it takes where so many are alive.
	AgentsNeeded(live int64) int64
}

// Traits tell how alerts of a rule behave, where it matters to whom the kind is
// not known.
type Traits struct {
	Endless   bool     // Its alerts have no end of their own, but with keep_firing_for or suppress.
	Copies    bool     // A second copy of an event, which a source may deliver, changes nothing.
	Orderless bool     // Events that come late, within lateness, lead to the same alerts.
	Findings  bool     // It makes alerts of what the fleet's judge finds.
	Forwards  bool     // All that its state has to know is in the events that satisfy its conditions: they may be of several partitions.
	Silence   bool     // It waits for single agents that are not heard.
	Reads     []ecs.ID // What its state reads of an event, besides the fields of its conditions and its key.
}

// Hook is a condition of a rule. The state's Observe is called for every event
// of which it is true.
type Hook struct {
	Slot         int
	Role         string
	Truth        func(*expression.Env) expression.Truth
	Alternatives []expression.Alternative
	Watch        []expression.Alternative // What it needs as well while the state holds keys; nil: nothing further.
	X            *expression.Expression   // What the author wrote.
	TakesLate    bool                     // An event later than the lateness counts as well.
	Unexcepted   bool                     // Exceptions do not take events out: it tells of an end, or of what must not come.
}

// NewHook makes the hook of a condition.
func NewHook(slot int, role string, x *expression.Expression) Hook {
	return Hook{Slot: slot, Role: role, Truth: x.Eval, Alternatives: x.Alternatives(), X: x}
}
