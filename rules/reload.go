package rules

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// silentKeys are the keys of a rule that show in no alert: a rule in which only
// they change is the same rule.
func silentKeys() []string {
	return []string{"tests", "note", "references", "false_positives", "known_gaps", "author", "license", "created", "updated"}
}

// wordingKeys are the keys that show in alerts and do not decide about them: a
// rule in which only they change goes on with its state.
func wordingKeys() []string {
	return []string{
		"name", "version", "description", "severity", "risk_score", "severity_mapping", "risk_score_mapping", "tags", "threat", "maturity", "stage", "budget", "respond",
	}
}

// fingerprints tell rules apart: judges, those that could judge differently;
// speaks, those whose alerts could look different. A list or macro counts where
// its name occurs. Both are empty for what JSON does not know.
func fingerprints(n strict.Node, defs *expression.Definitions) (judges, speaks string) {
	keys, ok := n.Value().(map[string]any)
	if !ok {
		return "", ""
	}
	for _, key := range silentKeys() {
		delete(keys, key)
	}
	all, err := json.Marshal(keys)
	if err != nil {
		return "", ""
	}
	for _, key := range wordingKeys() {
		delete(keys, key)
	}
	own, err := json.Marshal(keys)
	if err != nil {
		return "", ""
	}
	used, err := json.Marshal(definitionsIn(string(own), defs))
	if err != nil {
		return "", ""
	}
	judges = event.HashID(string(own), string(used))
	return judges, event.HashID(judges, string(all))
}

// definitionsIn returns the lists and macros whose names occur in a text, or in
// the text of such a macro. That a name may occur by chance makes a rule begin
// anew without need, no more.
func definitionsIn(text string, defs *expression.Definitions) map[string]any {
	used := map[string]any{}
	for found := true; found; {
		found = false
		for name, items := range defs.Lists {
			if used[name] == nil && strings.Contains(text, name) {
				used[name] = items
			}
		}
		for name, macro := range defs.Macros {
			if used[name] == nil && strings.Contains(text, name) {
				used[name], found = macro.Value, true
				text += " " + macro.Value
			}
		}
	}
	return used
}

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
		if r == nil || old.removed || r.judges == "" || r.judges != old.judges {
			next.rules = append(next.rules, &Rule{ID: old.ID, number: i, removed: true, plan: nothing{}})
			next.totals = append(next.totals, &totals{})
			continue
		}
		delete(fresh, old.ID)
		if r.speaks != old.speaks {
			// It judges by the plan that its state was made for.
			reworded := *r
			reworded.number, reworded.plan, reworded.groupBy, reworded.byAgent = i, old.plan, old.groupBy, old.byAgent
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
			s.farewell(i, "the rule has changed and begins anew")
		default:
			s.farewell(i, "the rule was taken away")
		}
	}
	s.emit = nil
	s.Publish()
	before, states, rollups, published, counters := s.set, s.states, s.rollups, s.published, s.counters
	s.set = set
	s.states = make([]state, 0, len(set.rules)+1)
	s.rollups = make([]*rollupState, len(set.rules))
	s.counters, s.published = make([]Counters, len(set.rules)), make([]held, len(set.rules))
	s.candidates = make([]uint64, set.index.words)
	tables, shortages := s.tables, s.shortages.byRule
	s.account.settle()
	s.tables, s.shortages.byRule = make([][]table, len(set.rules)), make([]shortage, len(set.rules))
	s.minStep, s.nextDue = math.MaxInt64, math.MaxInt64
	if s.clock != nil {
		s.costs = make([]cost, len(set.rules)) // A reload gives every rule another chance.
	}
	for i, r := range set.rules {
		if i < len(before.rules) && inherits(r, before.rules[i]) {
			s.states = append(s.states, states[i])
			if r != before.rules[i] {
				states[i].rebind(r)
				if rollups[i] != nil {
					rollups[i].rebind(r)
				}
			}
			s.rollups[i], s.published[i], s.counters[i] = rollups[i], published[i], counters[i]
			s.tables[i], s.shortages.byRule[i] = tables[i], shortages[i]
			continue
		}
		if i < len(before.rules) {
			before.totals[i].keys.Add(-published[i].keys)
			before.totals[i].bytes.Add(-published[i].bytes)
			for _, t := range tables[i] {
				bytes, _ := t.weight()
				s.account.drop(bytes)
			}
		}
		s.states = append(s.states, r.plan.newState(s, r))
		if r.rollup != nil {
			s.rollups[i] = newRollupState(s, r)
		}
	}
	s.rouse()
	for _, fold := range s.rollups {
		if fold != nil {
			s.states = append(s.states, fold)
		}
	}
	s.states = append(s.states, &s.shortages)
	if watch := s.fleet; watch != nil {
		watch.states = s.fleetStates()
		s.states = append(s.states, watch)
	} else if !s.apart {
		s.joinFleet(nil)
	}
	for _, st := range s.states {
		s.minStep = min(s.minStep, st.step(0))
		s.nextDue = min(s.nextDue, st.next())
	}
}

// inherits reports whether a rule goes on with the state of the one in its
// place before.
func inherits(r, before *Rule) bool {
	return r == before || !r.removed && !before.removed && r.ID == before.ID && r.judges != "" && r.judges == before.judges
}

// nothing is the plan in the place of a rule that was taken away.
type nothing struct{}

func (nothing) hooks() []hook                  { return nil }
func (nothing) horizon() time.Duration         { return 0 }
func (nothing) traits() traits                 { return traits{} }
func (nothing) newState(*Session, *Rule) state { return noState{} }

// noState holds nothing: that of a rule that was taken away, and the answers
// of what has a timer like a state and is none.
type noState struct{}

func (noState) observe(int, *moment)       {}
func (noState) next() int64                { return math.MaxInt64 }
func (noState) fire(int64)                 {}
func (noState) step(int64) int64           { return math.MaxInt64 }
func (noState) keys() (int, uint64)        { return 0, 0 }
func (noState) open(func(openAlert))       {}
func (noState) persist(*archive)           {}
func (noState) rebind(*Rule)               {}
func (noState) rewatch()                   {}
func (noState) offerOngoing()              {}
func (noState) findingKind() string        { return "" }
func (noState) takeFinding(*fleet.Finding) {}
