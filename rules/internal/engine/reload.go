package engine

import (
	"math"
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/table"
)

// Inherit returns the set as the successor of another over the same
// dictionary: rules that judge alike in both keep their place, their counters
// and, in sessions, their state, also where their alerts look different now.
// Both sets stay usable.
func (set *Ruleset) Inherit(before *Ruleset) *Ruleset {
	next := &Ruleset{dict: set.dict, warnings: set.warnings}
	fresh := map[string]*Rule{}
	for _, r := range set.rules {
		fresh[r.ID] = r
	}
	for i, old := range before.rules {
		r := fresh[old.ID]
		if r == nil || old.removed || r.logicHash == "" || r.logicHash != old.logicHash {
			next.rules = append(next.rules, &Rule{ID: old.ID, number: i, removed: true, plan: nothing{}})
			next.totals = append(next.totals, &totals{})
			continue
		}
		delete(fresh, old.ID)
		if r.outputHash != old.outputHash {
			// It judges by the plan that its state was made for.
			reworded := *r
			reworded.number, reworded.plan, reworded.groupBy, reworded.byAgent = i, old.plan, old.groupBy, old.byAgent
			reworded.carries = r.carries
			old = &reworded
		}
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
// set inherited keep their state; the others begin without. Alerts of rules that
// go, or change, end: emit gets the documents that say so.
func (s *Session) Reload(set *Ruleset, emit func(alert *event.Event)) {
	s.emit = emit
	for i, r := range s.set.rules {
		switch {
		case i < len(set.rules) && inherits(set.rules[i], r):
		case slices.ContainsFunc(set.rules, func(n *Rule) bool { return n.ID == r.ID && !n.removed }):
			s.resolveRemoved(i, "the rule has changed and starts again without state")
		default:
			s.resolveRemoved(i, "the rule was taken away")
		}
	}
	s.emit = nil
	s.Publish()
	before, states, rollups, published, counters := s.set, s.states, s.rollups, s.published, s.counters
	s.set = set
	s.states = make([]State, 0, len(set.rules)+1)
	s.rollups = make([]*rollupState, len(set.rules))
	s.counters, s.published = make([]Counters, len(set.rules)), make([]held, len(set.rules))
	s.candidates = make([]uint64, set.index.words)
	cutAt := s.cutAt
	s.cutAt = make([]int64, len(set.rules))
	tables, shortages := s.tables, s.shortages.byRule
	s.account.WeighUsed()
	s.tables, s.shortages.byRule = make([][]table.Accounted, len(set.rules)), make([]shortage, len(set.rules))
	s.minStep, s.nextDue = math.MaxInt64, math.MaxInt64
	if s.clock != nil {
		s.costs = make([]cost, len(set.rules)) // A reload gives every rule another chance.
	}
	for i, r := range set.rules {
		if i < len(before.rules) && inherits(r, before.rules[i]) {
			s.states = append(s.states, states[i])
			if r != before.rules[i] {
				states[i].Rebind(r)
				if rollups[i] != nil {
					rollups[i].Rebind(r)
				}
			}
			if s.wide {
				s.cutAt[i] = cutAt[i]
			}
			s.rollups[i], s.published[i], s.counters[i] = rollups[i], published[i], counters[i]
			s.tables[i], s.shortages.byRule[i] = tables[i], shortages[i]
			continue
		}
		if i < len(before.rules) {
			before.totals[i].keys.Add(-published[i].keys)
			before.totals[i].bytes.Add(-published[i].bytes)
			for _, t := range tables[i] {
				bytes, _ := t.Weight()
				s.account.Subtract(bytes)
			}
		}
		s.states = append(s.states, s.newState(r))
		if r.rollup != nil && s.wide {
			s.rollups[i] = newRollupState(s, r)
		}
	}
	s.rewatch()
	for _, fold := range s.rollups {
		if fold != nil {
			s.states = append(s.states, fold)
		}
	}
	s.states = append(s.states, &s.shortages)
	if watch := s.fleet; watch != nil {
		watch.states = s.fleetStates()
		s.states = append(s.states, watch)
		s.joinAcross()
	} else if !s.isCanary && !s.wide {
		s.joinFleet(s.options.Fleet)
	}
	for _, st := range s.states {
		s.minStep = min(s.minStep, st.ClockJumped(0))
		s.nextDue = min(s.nextDue, st.Next())
	}
}

// inherits reports whether a rule goes on with the state of the one in its
// place before.
func inherits(r, before *Rule) bool {
	return r == before || !r.removed && !before.removed && r.ID == before.ID && r.logicHash != "" && r.logicHash == before.logicHash
}
