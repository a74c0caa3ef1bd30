package engine

import (
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// Verdicts turns what the judge of a whole fleet found into the alerts of the
// rules about it, where the sessions of the partitions know only a part. It
// belongs to one goroutine.
type Verdicts struct {
	session *Session
	states  map[string][]State
}

// NewVerdicts returns the verdicts of the set's rules.
func (set *Ruleset) NewVerdicts() *Verdicts {
	s := set.NewSession(SessionOptions{MaxKeys: 1})
	return &Verdicts{session: s, states: s.fleetStates()}
}

// Raise emits the alerts of findings, which are valid until emit returns.
func (v *Verdicts) Raise(findings []fleet.Finding, emit func(alert *event.Event)) {
	v.session.emit = emit
	raise(v.states, findings, emit)
	v.session.emit = nil
}

// Close reports the last counts.
func (v *Verdicts) Close() { v.session.Close() }

// raise gives findings to the rules about them; those of rules about the whole
// fleet are alerts already.
func raise(states map[string][]State, findings []fleet.Finding, emit func(alert *event.Event)) {
	for i := range findings {
		if findings[i].Kind == fleet.RaisedKind && emit != nil {
			emit(findings[i].Alert)
		}
		for _, st := range states[findings[i].Kind] {
			st.TakeFinding(&findings[i])
		}
	}
}
