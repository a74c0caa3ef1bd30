package rules

import (
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// missed offers a run of readings that was not long enough.
func (st *matchState) missed(e *entry[matchKey], m *moment) {
	k := &e.data
	held := max(m.at-k.since, 0)
	st.near().offer(Miss{
		Rule: st.rule(), Stage: MissedBound, Key: e.key, At: m.at, Measure: "seconds", Value: seconds(held), Bound: seconds(st.p.hold),
		Nearness: float64(held) / float64(st.p.hold),
		Reason:   fmt.Sprintf("satisfied the condition for %s, in %s; the rule asks for %s (for)", duration(held), plural(k.readings, "reading"), duration(st.p.hold)),
	})
}

// missed offers a value that is no change, or not the one that is asked for.
func (st *changeState) missed(e *entry[changeKey], m *moment, created, forgotten bool, from string) {
	k, p := &e.data, st.p
	miss := Miss{Rule: st.rule(), Stage: MissedBound, Key: e.key, At: m.at}
	switch {
	case created:
		miss.Nearness = 0.1
		miss.Reason = fmt.Sprintf("had %s %s, its first value, which is no change", p.name, k.value)
	case from == k.value:
		miss.Nearness = 0.2
		miss.Reason = fmt.Sprintf("still had %s %s", p.name, k.value)
	case forgotten:
		miss.Nearness = 0.5
		miss.Reason = fmt.Sprintf("had %s %s after %s, which was forgotten by then (window: %s)", p.name, k.value, from, duration(p.window))
	case !p.asked(from, k.value):
		miss.Nearness = 0.8
		miss.Reason = fmt.Sprintf("changed %s from %s to %s; the rule asks for a change%s", p.name, from, k.value, p.wish())
	default:
		miss.Measure, miss.Value, miss.Bound = "returns", float64(k.returns), float64(p.returns)
		miss.Nearness = 0.8 + 0.2*float64(k.returns)/float64(p.returns)
		miss.Reason = fmt.Sprintf("changed %s from %s to %s, and went back %s in a row; the rule asks for %d (returns)", p.name, from, k.value, times(k.returns), p.returns)
	}
	st.near().offer(miss)
}

// wish says which changes the rule is about.
func (p *changePlan) wish() string {
	said := ""
	if len(p.from) > 0 {
		said += " from " + joined(p.from)
	}
	if len(p.to) > 0 {
		said += " to " + joined(p.to)
	}
	if p.direction != "" {
		said += " that goes " + p.direction
	}
	return said
}

// lastSeen is when the value in st.term was seen last; 0 if never.
func (st *newTermsState) lastSeen(k *newTermsKey) int64 {
	hash := xxhash.Sum64(st.term)
	i := slices.IndexFunc(k.terms, func(t term) bool { return t.hash == hash })
	if i < 0 {
		return 0
	}
	return k.terms[i].last
}

// missed offers a value that is known, or new while everything is.
func (st *newTermsState) missed(e *entry[newTermsKey], m *moment, last int64, fresh bool) {
	k, p := &e.data, st.p
	miss := Miss{Rule: st.rule(), Stage: MissedBound, Key: e.key, At: m.at, Measure: "seconds"}
	if fresh {
		age := m.at - k.since
		miss.Value, miss.Bound = seconds(age), seconds(p.learn)
		miss.Nearness = 0.5 + 0.5*float64(age)/float64(max(p.learn, 1))
		miss.Reason = fmt.Sprintf("had a new %s of %s, %s after its first event; in the first %s nothing is new (learn)", joined(p.names), st.term,
			duration(age), duration(p.learn))
	} else {
		age := max(m.at-last, 0)
		miss.Value, miss.Bound = seconds(age), seconds(p.window)
		miss.Nearness = 0.5 * float64(age) / float64(p.window)
		miss.Reason = fmt.Sprintf("had %s %s, which it had %s before; the rule asks for one not seen for %s (window)", joined(p.names), st.term,
			duration(age), duration(p.window))
	}
	st.near().offer(miss)
}

// missed offers how long an agent was silent before it was heard again.
func (st *silenceState) missed(e *entry[silenceKey], at, gap int64) {
	k := &e.data
	patience := st.patience(k)
	if gap <= 0 || gap >= patience {
		return
	}
	miss := Miss{
		Rule: st.rule(), Stage: MissedBound, Key: e.key, At: at, Measure: "seconds of silence", Value: seconds(gap), Bound: seconds(patience),
		Nearness: float64(gap) / float64(patience),
	}
	waits := "after"
	if st.p.multiple > 0 {
		waits = fmt.Sprintf("%s times its usual %s", decimal(st.p.multiple), duration(k.cadence))
		if k.cadence == 0 {
			waits = "three times after, as its cadence is not known yet"
		} else if patience == st.p.after {
			waits = "after"
		}
	}
	counted := ""
	if whole := at - k.heard; whole > gap {
		counted = fmt.Sprintf(", of which %s count, as nothing at all came in the rest", duration(gap))
		gap = whole
	}
	miss.Reason = fmt.Sprintf("was silent for %s%s; the rule waits for %s (%s)", duration(gap), counted, duration(patience), waits)
	st.near().offer(miss)
}

// missedSoFar offers the silences that have not ended.
func (st *silenceState) offerOngoing() {
	if st.p.cohort != nil {
		return
	}
	for e := range st.table.all() {
		if e.data.armed && e.timed() {
			st.missed(e, st.now(), st.now()-st.frozen-e.data.seen)
		}
	}
}

// missedExcuse offers a silence that was long enough and explained.
func (st *silenceState) missedExcuse(e *entry[silenceKey], due int64) {
	k := &e.data
	reason := "its host was not heard steadily (host: up)"
	switch n := k.entity; {
	case st.byEntity && n != nil && n.fold != nil && n.fold.firing:
		reason = "an alert about its cohort tells of it"
	case n != nil && st.silenceExplained(n):
		reason = "its goodbye, its dark site or its feed explains it"
	case len(st.p.hostTypes) > 0 && n != nil && !slices.Contains(st.p.hostTypes, n.HostType):
		reason = fmt.Sprintf("its host.type is %q, and the rule is about %s (host_type)", n.HostType, joined(st.p.hostTypes))
	}
	st.near().offer(Miss{
		Rule: st.rule(), Stage: MissedBound, Key: e.key, At: due, Measure: "seconds of silence", Value: seconds(due - k.heard), Bound: seconds(st.patience(k)),
		Nearness: 0.999, Reason: fmt.Sprintf("was silent for %s, and %s", duration(due-k.heard), reason),
	})
}

// missed offers a share of silent agents that is not enough.
func (st *silenceState) missedCohort(c *cohort, at int64, limit float64) {
	p, n, all := st.p.cohort, c.missing, c.all()
	miss := Miss{Rule: st.rule(), Stage: MissedBound, Key: c.key, At: at, Measure: "silent agents", Value: float64(n)}
	needs := []struct {
		bound float64
		what  string
	}{
		{float64(p.minSilent), "min_silent"}, {limit, fmt.Sprintf("percent: %s, of which more counts at first", decimal(p.percent))},
		{c.surprising(p.timesUsual), fmt.Sprintf("times_usual: %s", decimal(p.timesUsual))},
	}
	what := ""
	for _, need := range needs {
		if need.bound > miss.Bound {
			miss.Bound, what = need.bound, need.what
		}
	}
	miss.Nearness = 0.5 + miss.Value/miss.Bound/2
	miss.Reason = fmt.Sprintf("had %s of %s silent at once; the rule asks for %s (%s)", grouped(n), plural(all, "agent"), decimal(miss.Bound), what)
	if all < p.minAgents {
		miss.Nearness /= 2
		miss.Reason = fmt.Sprintf("had %s; the rule asks for %d at least (min_agents)", plural(all, "agent"), p.minAgents)
	}
	st.near().offer(miss)
}
