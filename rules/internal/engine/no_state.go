package engine

import (
	"math"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// noState remembers nothing: the state in the place of a rule that was removed. What
// has timers like a state and is none of a rule embeds it for its answers.
type noState struct{}

func (noState) Observe(int, *Evaluation)   {}
func (noState) Next() int64                { return math.MaxInt64 }
func (noState) Fire(int64)                 {}
func (noState) ClockJumped(int64) int64    { return math.MaxInt64 }
func (noState) KeyCount() (int, uint64)    { return 0, 0 }
func (noState) OpenAlerts(func(OpenAlert)) {}
func (noState) Persist(*Archive)           {}
func (noState) Rebind(*Rule)               {}
func (noState) Rewatch()                   {}
func (noState) OfferOngoing()              {}
func (noState) FindingKind() string        { return "" }
func (noState) TakeFinding(*fleet.Finding) {}

// nothing is the plan in the place of a rule that was removed.
type nothing struct{}

func (nothing) Hooks() []Hook                  { return nil }
func (nothing) Horizon() time.Duration         { return 0 }
func (nothing) Traits() Traits                 { return Traits{} }
func (nothing) NewState(*Session, *Rule) State { return noState{} }
