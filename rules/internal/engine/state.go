package engine

import (
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/table"
)

// State is the state of one rule in one session.
type State interface {
	// Observe is called for an event of which the condition of a hook is true.
	Observe(slot int, m *Evaluation)
	// Next is when the first timer is due, math.MaxInt64 without one.
	Next() int64
	// Fire runs the first timer; due is what Next returned.
	Fire(due int64)
	// ClockJumped says that the clock moves by a gap at once, nothing having come
	// in between, before timers run. It returns the largest gap that makes no
	// difference to the state.
	ClockJumped(gap int64) (harmless int64)
	// KeyCount is how many keys are held and how many were forgotten.
	KeyCount() (held int, evicted uint64)
	// OpenAlerts calls end for every alert of the rule that has begun and not ended.
	OpenAlerts(end func(OpenAlert))
	// Persist writes the state, or reads it into one that is new.
	Persist(a *Archive)
	// Rebind puts the state under a rule that judges alike.
	Rebind(r *Rule)
	// Rewatch asks again, by RuleSession.WatchMore, for what the state watches.
	Rewatch()
	// OfferOngoing offers near misses of what has not ended yet.
	OfferOngoing()
	// FindingKind is the kind of findings of the fleet's judge that the state
	// makes alerts of, "" for none; TakeFinding gets them.
	FindingKind() string
	TakeFinding(f *fleet.Finding)
}

// memory is what is remembered of a key.
type memory[T any] interface {
	*T
	// Weight is what it refers to, in bytes.
	Weight() int
	// OpenAlerts calls end for its alerts that have begun and not ended.
	OpenAlerts(end func(OpenAlert), key string, r *Rule)
}

// NewTableFor returns a table more of a rule in a session.
func NewTableFor[T any, M memory[T]](rs *RuleSession) *table.Keyed[T] {
	return NewTable[T, M](rs.s, rs.r)
}

// NewTable returns the table of a rule in a session.
func NewTable[T any, M memory[T]](s *Session, r *Rule) *table.Keyed[T] {
	number := r.number
	k := table.NewWeighed(s.maxKeys, &s.account, func(data *T) int { return M(data).Weight() }, func(e *table.Entry[T], why table.Reason) {
		s.shortages.noteForgotten(number, why)
		M(&e.Data).OpenAlerts(func(o OpenAlert) {
			s.resolveUnknown(s.set.rules[number], o, "the key was forgotten because a limit is reached ("+why.String()+"): whether it still holds is not known")
		}, e.Key, s.set.rules[number])
	})
	s.tables[number] = append(s.tables[number], k)
	return k
}
