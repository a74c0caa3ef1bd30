package rules

import (
	"encoding/json"
	"math"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// silentKeys are the keys of a rule that show in no alert: a rule in which only
// they change is the same rule.
func silentKeys() []string {
	return []string{"tests", "note", "references", "false_positives", "known_gaps", "author", "license", "created", "updated"}
}

// fingerprint tells rules apart that could alert differently: by their keys,
// and by the lists and macros, of which each may be in use.
func fingerprint(n strict.Node, defs *expression.Definitions) string {
	keys, ok := n.Value().(map[string]any)
	if !ok {
		return ""
	}
	for _, key := range silentKeys() {
		delete(keys, key)
	}
	macros := map[string]string{}
	for name, text := range defs.Macros {
		macros[name] = text.Value
	}
	text, err := json.Marshal([]any{keys, defs.Lists, macros})
	if err != nil {
		return "" // What JSON does not know is no rule; it counts as changed.
	}
	return hashID(string(text))
}

// Inherit returns the set as the successor of another over the same
// dictionary: rules that stand unchanged in both keep their place, their
// counters and, in sessions, their state. Both sets stay usable.
func (set *Ruleset) Inherit(before *Ruleset) *Ruleset {
	next := &Ruleset{dict: set.dict, warnings: set.warnings}
	fresh := map[string]*Rule{}
	for _, r := range set.rules {
		fresh[r.ID] = r
	}
	for i, old := range before.rules {
		r := fresh[old.ID]
		if r == nil || old.removed || r.fingerprint == "" || r.fingerprint != old.fingerprint {
			next.rules = append(next.rules, &Rule{ID: old.ID, number: i, removed: true, plan: nothing{}})
			next.totals = append(next.totals, &totals{})
			continue
		}
		delete(fresh, old.ID)
		next.rules = append(next.rules, old)
		next.totals = append(next.totals, before.totals[i])
	}
	for _, r := range set.rules {
		if fresh[r.ID] != r {
			continue
		}
		copied := *r // The set that it comes from keeps its own numbers.
		place := len(next.rules)
		for i, taken := range next.rules {
			// What a changed rule was before is not mixed with what it is.
			if taken.removed && i < len(before.rules) && before.rules[i].removed {
				place = i
				break
			}
		}
		copied.number = place
		if place == len(next.rules) {
			next.rules = append(next.rules, &copied)
			continue
		}
		next.rules[place] = &copied
	}
	next.finish()
	return next
}

// Reload puts the session on another set between two events. Rules that the
// set inherited keep their state; the others begin without.
func (s *Session) Reload(set *Ruleset) {
	s.publish()
	before, states, rollups, published, counters := s.set, s.states, s.rollups, s.published, s.counters
	s.set = set
	s.states = make([]state, 0, len(set.rules)+1)
	s.rollups = make([]*rollupState, len(set.rules))
	s.counters, s.published = make([]Counters, len(set.rules)), make([]int64, len(set.rules))
	s.candidates = make([]uint64, set.index.words)
	s.minStep, s.nextDue = math.MaxInt64, math.MaxInt64
	if s.clock != nil {
		s.costs = make([]cost, len(set.rules)) // A reload gives every rule another chance.
	}
	for i, r := range set.rules {
		if i < len(before.rules) && before.rules[i] == r {
			s.states = append(s.states, states[i])
			s.rollups[i], s.published[i], s.counters[i] = rollups[i], published[i], counters[i]
			continue
		}
		if i < len(before.rules) {
			before.totals[i].keys.Add(-published[i])
		}
		s.states = append(s.states, r.plan.newState(s, r))
		if r.rollup != nil {
			s.rollups[i] = newRollupState(s, r)
		}
	}
	for _, fold := range s.rollups {
		if fold != nil {
			s.states = append(s.states, fold)
		}
	}
	if watch := s.fleet; watch != nil {
		watch.states = s.fleetStates()
		s.states = append(s.states, watch)
	} else {
		s.joinFleet(nil)
	}
	for _, st := range s.states {
		s.minStep = min(s.minStep, st.step(0))
		s.nextDue = min(s.nextDue, st.next())
	}
}

// nothing is the plan in the place of a rule that was taken away.
type nothing struct{}

func (nothing) hooks() []hook                  { return nil }
func (nothing) horizon() time.Duration         { return 0 }
func (nothing) newState(*Session, *Rule) state { return noState{} }

type noState struct{}

func (noState) observe(int, *moment) {}
func (noState) next() int64          { return math.MaxInt64 }
func (noState) fire(int64)           {}
func (noState) step(int64) int64     { return math.MaxInt64 }
func (noState) keys() (int, uint64)  { return 0, 0 }
