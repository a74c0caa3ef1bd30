package engine

import (
	"sync/atomic"
)

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
	Cut        uint64 // Matches of a rule about the whole fleet beyond what a step tells of (fleet.MaxMatches).
	Tripped    uint64 // Sessions in which it went over its budget.

	// Nanoseconds is the time that it took, extrapolated from a sample; 0
	// without a clock.
	Nanoseconds uint64
	Keys        int64 // Keys held now.
	Bytes       int64 // What their state takes, as it is estimated.
}

// totals are the counters of one rule over all sessions.
type totals struct {
	candidates, matches, absent, errors, late, noKey, alerts, shadowed, excepted, evicted, relieved, shed, cut, tripped, nanoseconds atomic.Uint64
	keys, bytes                                                                                                                      atomic.Int64
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
			Shed: t.shed.Load(), Cut: t.cut.Load(), Tripped: t.tripped.Load(), Nanoseconds: t.nanoseconds.Load(), Keys: t.keys.Load(), Bytes: t.bytes.Load(),
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
		{&t.relieved, c.Relieved}, {&t.shed, c.Shed}, {&t.cut, c.Cut},
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
