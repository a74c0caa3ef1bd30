package engine

import (
	"fmt"
	"time"
)

// One candidate in so many is timed: reading the clock twice costs about as
// much as a cheap condition. A prime does not keep step with the candidates of
// equal events.
const timedEvery = 31

// Samples before a rule may be found too dear, and the weight of a new one in
// the mean. One slow sample is the scheduler's or the collector's doing.
const (
	leastSamples = 64
	sampleWeight = 1.0 / 32
)

// cost is what a session measured of a rule.
type cost struct {
	mean    float64 // nanoseconds a candidate
	samples int
	tripped bool // It is shadow until the rules are reloaded.
}

// timed evaluates a candidate with a look at the clock.
func (s *Session) timed(h *boundHook, m *Evaluation) {
	began := s.clock()
	s.evaluate(h, m)
	took := float64(s.clock().Sub(began))
	c := &s.costs[h.rule]
	s.counters[h.rule].Nanoseconds += uint64(took) * timedEvery
	took = min(took, 8*max(c.mean, 1000)) // A pause of the process is nobody's fault.
	if c.samples++; c.samples == 1 {
		c.mean = took
	}
	c.mean += (took - c.mean) * max(sampleWeight, 1/float64(c.samples))
	r := s.set.rules[h.rule]
	budget := r.budget
	if budget == 0 {
		budget = s.budget
	}
	if budget > 0 && !c.tripped && c.samples >= leastSamples && c.mean > float64(budget) {
		s.trip(r, c, budget, m)
	}
}

// fireTimer runs a timer of a state. Timers are counted as time of the rule and not
// held against its budget, which is for an event: that of a cohort looks at all
// its agents.
func (s *Session) fireTimer(place int, due int64) {
	if s.clock == nil || place >= len(s.counters) {
		s.states[place].Fire(due)
		return
	}
	if s.timersUntimed++; s.timersUntimed < timedEvery {
		s.states[place].Fire(due)
		return
	}
	s.timersUntimed = 0
	began := s.clock()
	s.states[place].Fire(due)
	s.counters[place].Nanoseconds += uint64(max(s.clock().Sub(began), 0)) * timedEvery
}

// trip makes a rule silent that is dearer than its budget, and says so: one
// document, because an analyst who waits for the rule has to know.
func (s *Session) trip(r *Rule, c *cost, budget time.Duration, m *Evaluation) {
	mean := time.Duration(c.mean).Round(100 * time.Nanosecond)
	ep := BeginEpisode(r, "budget", m.Now, "budget")
	ep.Count = 1
	s.counters[r.number].Tripped++
	s.raise(r, &ep, &Alert{
		At: m.Now, Status: "firing", Key: "budget", Scope: "pipeline", notice: true,
		Reason:   fmt.Sprintf("the rule takes %s for an event, more than its budget of %s: it is judged and counted, but silent, until the rules are reloaded", mean, budget),
		Evidence: []Evidence{Text("mean", mean.String()), Text("budget", budget.String()), Number("samples", int64(c.samples))},
	})
	c.tripped = true
}

// heldBack reports whether a document is not written: the rule is silent, or
// the document ends what it began while it was silent. What was written before
// it became silent is ended all the same, or it would stay open for ever.
func (s *Session) heldBack(r *Rule, ep *Episode, a *Alert) bool {
	ends := a.Status == "resolved" && a.Finding == nil
	if s.silenced(r) {
		return !a.notice && !(ends && ep.severity != "")
	}
	return ends && ep.severity == "" && ep.Sequence > 0
}

// silenced reports whether the rule is silent.
func (s *Session) silenced(r *Rule) bool {
	return r.Shadow || s.costs != nil && s.costs[r.number].tripped
}
