package rules

import (
	"sync/atomic"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
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
	Threat                    []Threat
	Scope                     string
	Respond                   []Response
	File                      string
	Line                      int

	number     int
	judges     string // Hash of all that decides about its alerts.
	speaks     string // Of that, and of all that shows in them.
	removed    bool   // A place of a rule that a reload took away.
	plan       plan
	budget     time.Duration // 0: the session's
	groupBy    []keyPart
	byAgent    bool // groupBy is the agent, and nothing else.
	keepFiring int64
	suppress   int64
	threat     []fieldList
	rollup     *rollupPlan // nil without.

	Shadow            bool // Judged and counted, but silent.
	exceptions        []activeException
	severities, risks []override
}

// traits are those of the rule's kind.
func (r *Rule) traits() traits { return r.plan.traits() }

// hooks are the conditions of the rule.
func (r *Rule) hooks() []hook { return r.plan.hooks() }

// rolledUp reports whether alerts about many agents become one incident.
func (r *Rule) rolledUp() bool { return r.rollup != nil }

// activeExceptions are the compiled exceptions.
func (r *Rule) activeExceptions() []activeException { return r.exceptions }

// overrides are the entries of severity_mapping and risk_score_mapping.
func (r *Rule) overrides() (severities, risks []override) { return r.severities, r.risks }

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
	hook
	rule int
}

// newRuleset puts compiled rules into a set.
func newRuleset(dict *ecs.Dictionary, rules []*Rule, warnings []strict.Problem) *Ruleset {
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
		for _, h := range r.plan.hooks() {
			set.hooks = append(set.hooks, boundHook{hook: h, rule: i})
		}
	}
	set.index = newIndex(set.hooks)
	set.watchers = make([]int32, len(set.rules))
	for i := range set.hooks {
		if h := &set.hooks[i]; h.watch != nil {
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
// that begins without a past knows less than it will.
func (r *Rule) LookBack() time.Duration {
	own := r.plan.horizon() + time.Duration(max(r.keepFiring, r.suppress))
	if r.rollup != nil {
		own += 2 * time.Duration(r.rollup.within)
	}
	return own
}

// Counters are what a rule did in all sessions of a set so far.
type Counters struct {
	Rule       *Rule
	Candidates uint64 // Events for which a condition was evaluated.
	Matches    uint64 // Events for which it was true.
	Absent     uint64 // Events for which it was unknown: a field was missing.
	Errors     uint64 // Events for which it was unknown: it could not be computed.
	Late       uint64 // Matches too late for the rule's window.
	NoKey      uint64 // Matches without a field of group_by.
	Alerts     uint64 // Alert documents, firing and resolved.
	Shadowed   uint64 // Documents that a rule of stage shadow would have made.
	Excepted   uint64 // Matches that an exception took out.
	Evicted    uint64 // Keys forgotten because there were too many (MaxKeys).
	Relieved   uint64 // Keys forgotten because the state was too large (MaxState).
	Shed       uint64 // Values or events of a key forgotten because it had too many.
	Tripped    uint64 // Sessions in which it went over its budget.

	// Nanoseconds is the time that it took, extrapolated from a sample; 0
	// without a clock.
	Nanoseconds uint64
	Keys        int64 // Keys held now.
	Bytes       int64 // What their state takes, as it is estimated.
}

// totals are the counters of one rule over all sessions.
type totals struct {
	candidates, matches, absent, errors, late, noKey, alerts, shadowed, excepted, evicted, relieved, shed, tripped, nanoseconds atomic.Uint64
	keys, bytes                                                                                                                 atomic.Int64
}

// Counters returns what each rule did, in the order of Rules. Sessions report
// every few hundred events and when they are closed.
func (set *Ruleset) Counters() []Counters {
	list := make([]Counters, 0, len(set.rules))
	for i, r := range set.rules {
		if r.removed {
			continue
		}
		t := set.totals[i]
		list = append(list, Counters{
			Rule: r, Candidates: t.candidates.Load(), Matches: t.matches.Load(), Absent: t.absent.Load(), Errors: t.errors.Load(), Late: t.late.Load(),
			NoKey: t.noKey.Load(), Alerts: t.alerts.Load(),
			Shadowed: t.shadowed.Load(), Excepted: t.excepted.Load(), Evicted: t.evicted.Load(), Relieved: t.relieved.Load(),
			Shed: t.shed.Load(), Tripped: t.tripped.Load(), Nanoseconds: t.nanoseconds.Load(), Keys: t.keys.Load(), Bytes: t.bytes.Load(),
		})
	}
	return list
}

// add publishes what a session counted since it last did.
func (t *totals) add(c *Counters, now, before held) {
	for _, p := range [...]struct {
		total *atomic.Uint64
		n     uint64
	}{
		{&t.candidates, c.Candidates}, {&t.matches, c.Matches}, {&t.absent, c.Absent}, {&t.errors, c.Errors}, {&t.late, c.Late}, {&t.noKey, c.NoKey},
		{&t.alerts, c.Alerts}, {&t.shadowed, c.Shadowed}, {&t.excepted, c.Excepted}, {&t.evicted, c.Evicted},
		{&t.relieved, c.Relieved}, {&t.shed, c.Shed},
		{&t.tripped, c.Tripped}, {&t.nanoseconds, c.Nanoseconds},
	} {
		if p.n != 0 { // Most rules are idle, and an atomic addition is not free.
			p.total.Add(p.n)
		}
	}
	if now != before {
		t.keys.Add(now.keys - before.keys)
		t.bytes.Add(now.bytes - before.bytes)
	}
}
