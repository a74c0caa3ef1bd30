package engine

import (
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// Rule is what is known about a rule of a set. It is immutable.
type Rule struct {
	ID, Name                  string
	Version                   int
	Kind, Type                string // edr.alert.kind; match, threshold, …
	Description               string
	Severity                  string
	RiskScore                 float64
	Maturity                  string
	Tags, References          []string
	FalsePositives, KnownGaps []string
	Note                      string
	Threat                    []spec.Threat
	Scope                     string
	Respond                   []spec.Response
	File                      string
	Line                      int

	number     int
	logicHash  string // Hash of all that decides about its alerts.
	outputHash string // Of that, and of all that shows in them.
	removed    bool   // A place of a rule that a reload took away.
	plan       Plan
	budget     time.Duration // 0: the session's
	groupBy    []keyPart
	byAgent    bool // groupBy is the agent, and nothing else.
	keepFiring int64
	suppress   int64
	threat     []fieldList
	rollup     *rollupPlan // nil without.
	carries    []carried   // Of a rule about the whole fleet: what its matches carry; nil for others.

	Shadow            bool // Judged and counted, but silent.
	exceptions        []activeException
	severities, risks []Override
}

// Traits are those of the rule's kind.
func (r *Rule) Traits() Traits { return r.plan.Traits() }

// Hooks are the conditions of the rule.
func (r *Rule) Hooks() []Hook { return r.plan.Hooks() }

// RolledUp reports whether alerts about many agents become one incident.
func (r *Rule) RolledUp() bool { return r.rollup != nil }

// ActiveExceptions are the compiled exceptions.
func (r *Rule) ActiveExceptions() []activeException { return r.exceptions }

// Overrides are the entries of severity_mapping and risk_score_mapping.
func (r *Rule) Overrides() (severities, risks []Override) { return r.severities, r.risks }

// Ruleset is a compiled set of rules. It is immutable and safe for concurrent
// use; only its counters move.
type Ruleset struct {
	dict     *ecs.Dictionary
	rules    []*Rule
	hooks    []boundHook
	watchers []int32 // By number of the rule: 1 + its hook that has watch; 0 without.
	index    index
	warnings []strict.Problem
	totals   []*totals
	subject  []bool // Of an ecs.ID: belongs to host, agent or observer.
}

// boundHook is a hook with its rule.
type boundHook struct {
	Hook
	rule int
}

// NewRuleset puts compiled rules into a set.
func NewRuleset(dict *ecs.Dictionary, rules []*Rule, warnings []strict.Problem) *Ruleset {
	set := &Ruleset{dict: dict, rules: rules, warnings: warnings}
	for i, r := range rules {
		r.number = i
	}
	set.finish()
	return set
}

// finish builds what the rules share.
func (set *Ruleset) finish() {
	for i, r := range set.rules {
		for _, h := range r.plan.Hooks() {
			set.hooks = append(set.hooks, boundHook{Hook: h, rule: i})
		}
	}
	set.index = newIndex(set.hooks)
	set.watchers = make([]int32, len(set.rules))
	for i := range set.hooks {
		if h := &set.hooks[i]; h.Watch != nil {
			set.watchers[h.rule] = int32(i + 1)
		}
	}
	for len(set.totals) < len(set.rules) {
		set.totals = append(set.totals, &totals{})
	}
	set.subject = subjectFields(set.dict)
}

// Dictionary is what the conditions were checked against.
func (set *Ruleset) Dictionary() *ecs.Dictionary { return set.dict }

// Rules describes the rules that run, in the order of their files; after a
// reload those that stayed come first.
func (set *Ruleset) Rules() []*Rule {
	list := make([]*Rule, 0, len(set.rules))
	for _, r := range set.rules {
		if !r.removed {
			list = append(list, r)
		}
	}
	return list
}

// Warnings are what the author of a rule should look at although it works:
// a condition that can never be true, one that no index can narrow.
func (set *Ruleset) Warnings() []strict.Problem { return set.warnings }

// Always lists the rules that have to be evaluated for every event, because
// their conditions have no necessary atom.
func (set *Ruleset) Always() []*Rule {
	var list []*Rule
	for _, h := range set.index.root.always {
		list = append(list, set.rules[set.hooks[h].rule])
	}
	return list
}

// Horizon is how far back from the last acknowledged record a session has to
// be fed again to be in the state it was in: the longest window, silence or
// pending time, with what keeps alerts firing.
func (set *Ruleset) Horizon() time.Duration {
	var longest time.Duration
	for _, r := range set.rules {
		longest = max(longest, r.LookBack())
	}
	return longest
}

// LookBack is how far back the events are that the rule judges by: how long one
// that begins without history knows less than it will.
func (r *Rule) LookBack() time.Duration {
	own := r.plan.Horizon() + time.Duration(max(r.keepFiring, r.suppress))
	if r.rollup != nil {
		own += 2 * time.Duration(r.rollup.within)
	}
	return own
}

// PerAgent reports whether the keys of a rule stand for single agents.
func (r *Rule) PerAgent() bool { return r.Scope == "host" || r.ByEntity() }

// ByEntity reports whether group_by names the agent.
func (r *Rule) ByEntity() bool {
	return slices.ContainsFunc(r.groupBy, func(p keyPart) bool { return p.entity })
}
