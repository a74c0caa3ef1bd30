package rules

import (
	"math"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// RuleSession is what the state of a rule knows of its session and of its
// rule, and all that it may ask of them. States embed it: its methods are the
// answers of a state that has nothing to say to a question of the engine.
type RuleSession struct {
	s *Session
	r *Rule
}

// rule is the rule as it reads now: a reload may reword it.
func (rs *RuleSession) rule() *Rule { return rs.r }

// rebind puts the state under a rule that judges alike.
func (rs *RuleSession) rebind(r *Rule) { rs.r = r }

// step: a state that minds no gap of the clock.
func (rs *RuleSession) step(int64) int64 { return math.MaxInt64 }

// rewatch: a state that watches no further events.
func (rs *RuleSession) rewatch() {}

// offerOngoing: a state in which nothing goes on that could still alert.
func (rs *RuleSession) offerOngoing() {}

// findingKind: a state that takes no findings of the fleet's judge.
func (rs *RuleSession) findingKind() string { return "" }

// takeFinding is called for findings of findingKind alone.
func (rs *RuleSession) takeFinding(*fleet.Finding) {}

// now is the clock of the session, in nanoseconds since 1970.
func (rs *RuleSession) now() int64 { return rs.s.now }

// lateness is how far behind the clock an event may be for windows to count it.
func (rs *RuleSession) lateness() int64 { return rs.s.lateness }

// keepFiring is how long an episode goes on without a further match.
func (rs *RuleSession) keepFiring() int64 { return rs.r.keepFiring }

// suppress is how long an episode lasts at least.
func (rs *RuleSession) suppress() int64 { return rs.r.suppress }

// aboutAgents reports whether the keys of the rule stand for single agents.
func (rs *RuleSession) aboutAgents() bool { return rs.r.perAgent() }

// groupKey builds the rule's key for the event; false when the event lacks a
// part of it. A key that does not last is valid until the next call.
func (rs *RuleSession) groupKey(m *moment) (key, bool) { return rs.s.groupKey(rs.r, m) }

// mark puts the rule on the event that it matched.
func (rs *RuleSession) mark(m *moment) { rs.s.mark(m, rs.r) }

// countLate counts a match that came too late for the rule's window.
func (rs *RuleSession) countLate() { rs.s.counters[rs.r.number].Late++ }

// newEpisode starts an episode. What further distinguishes it may be empty.
func (rs *RuleSession) newEpisode(key string, start int64, further string) episode {
	return begin(rs.r, key, start, further)
}

// raise writes one document of an episode.
func (rs *RuleSession) raise(ep *episode, a *alert) { rs.s.raise(rs.r, ep, a) }

// wakeAt makes sure that the clock stops at a new timer.
func (rs *RuleSession) wakeAt(due int64) { rs.s.wakeAt(due) }

// near takes near misses; nil in a session that was not asked for them.
func (rs *RuleSession) near() *misses { return rs.s.near }

// satisfies reports whether the event that is being judged satisfies a
// condition.
func (rs *RuleSession) satisfies(x *expression.Expression) bool {
	return x.Eval(&rs.s.env) == expression.True
}

// watchMore says whether the state wants to see what its hook watches.
func (rs *RuleSession) watchMore(on bool) { rs.s.watch(rs.r.number, on) }

// unheard reports whether nothing at all came from an agent in the latter half
// of a window.
func (rs *RuleSession) unheard(agent *entity, due, window int64) bool {
	return agent != nil && due-agent.LastSeen >= window/2
}

// hostsOf returns the host that an agent is on, and the one that it was on
// before where there was one.
func (rs *RuleSession) hostsOf(n *entity) []string { return rs.s.entities.names(n) }

// silenceExplained reports whether the fleet knows why an agent is not heard:
// it, or its host, said goodbye, or its site or its feed is dark.
func (rs *RuleSession) silenceExplained(n *entity) bool {
	return rs.s.fleet != nil && rs.s.fleet.explains(n)
}

// feedLag is the learned delay of a feed; 0 without a fleet.
func (rs *RuleSession) feedLag(feed string) time.Duration {
	if rs.s.fleet == nil {
		return 0
	}
	return rs.s.fleet.shard.Lag(feed)
}

// rollouts are the rollouts that the fleet's judge knows of.
func (rs *RuleSession) rollouts() []fleet.Rollout { return rs.s.fleet.fleet.Rollouts(fleet.Policy{}) }

// agents tells how many agents the session knows, and how many of them were
// not heard for a span.
func (rs *RuleSession) agents(span int64) (all, silent int) {
	for e := range rs.s.entities.known.all() {
		all++
		if rs.s.now-e.data.LastSeen > span {
			silent++
		}
	}
	return all, silent
}
