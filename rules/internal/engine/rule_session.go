package engine

import (
	"math"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/table"
)

// RuleSession is what the state of a rule knows of its session and of its
// rule, and all that it may ask of them. States embed it: its methods are the
// answers of a state that has nothing to say to a question of the engine.
type RuleSession struct {
	s *Session
	r *Rule
}

// NewRuleSession returns what the state of a rule asks in a session.
func NewRuleSession(s *Session, r *Rule) RuleSession { return RuleSession{s, r} }

// Rule is the rule as it reads now: a reload may reword it.
func (rs *RuleSession) Rule() *Rule { return rs.r }

// Rebind puts the state under a rule that judges alike.
func (rs *RuleSession) Rebind(r *Rule) { rs.r = r }

// ClockJumped: a state that minds no gap of the clock.
func (rs *RuleSession) ClockJumped(int64) int64 { return math.MaxInt64 }

// Rewatch: a state that watches no further events.
func (rs *RuleSession) Rewatch() {}

// OfferOngoing: a state in which nothing goes on that could still alert.
func (rs *RuleSession) OfferOngoing() {}

// FindingKind: a state that takes no findings of the fleet's judge.
func (rs *RuleSession) FindingKind() string { return "" }

// TakeFinding is called for findings of findingKind alone.
func (rs *RuleSession) TakeFinding(*fleet.Finding) {}

// Now is the clock of the session, in nanoseconds since 1970.
func (rs *RuleSession) Now() int64 { return rs.s.now }

// Lateness is how far behind the clock an event may be for windows to count it.
func (rs *RuleSession) Lateness() int64 { return rs.s.lateness }

// KeepFiring is how long an episode goes on without a further match.
func (rs *RuleSession) KeepFiring() int64 { return rs.r.keepFiring }

// Suppress is how long an episode lasts at least.
func (rs *RuleSession) Suppress() int64 { return rs.r.suppress }

// AboutAgents reports whether the keys of the rule stand for single agents.
func (rs *RuleSession) AboutAgents() bool { return rs.r.PerAgent() }

// GroupKey builds the rule's key for the event; false when the event lacks a
// part of it. A key that does not last is valid until the next call.
func (rs *RuleSession) GroupKey(m *Evaluation) (table.Key, bool) { return rs.s.groupKey(rs.r, m) }

// Mark puts the rule on the event that it matched.
func (rs *RuleSession) Mark(m *Evaluation) { rs.s.mark(m, rs.r) }

// CountLate counts a match that came too late for the rule's window.
func (rs *RuleSession) CountLate() { rs.s.counters[rs.r.number].Late++ }

// NewEpisode starts an episode. What further distinguishes it may be empty.
func (rs *RuleSession) NewEpisode(key string, start int64, further string) Episode {
	return BeginEpisode(rs.r, key, start, further)
}

// Raise writes one document of an episode.
func (rs *RuleSession) Raise(ep *Episode, a *Alert) { rs.s.raise(rs.r, ep, a) }

// WakeAt makes sure that the clock stops at a new timer.
func (rs *RuleSession) WakeAt(due int64) { rs.s.wakeAt(due) }

// NearMisses takes near misses; nil in a session that was not asked for them.
func (rs *RuleSession) NearMisses() *NearMisses { return rs.s.nearMisses }

// Satisfies reports whether the event that is being judged satisfies a
// condition.
func (rs *RuleSession) Satisfies(x *expression.Expression) bool {
	return x.Eval(&rs.s.env) == expression.True
}

// WatchMore says whether the state wants to see what its hook watches.
func (rs *RuleSession) WatchMore(on bool) { rs.s.watch(rs.r.number, on) }

// Unheard reports whether nothing at all came from an agent in the latter half
// of a window.
func (rs *RuleSession) Unheard(agent *Entity, due, window int64) bool {
	return agent != nil && due-agent.LastSeen >= window/2
}

// HostsOf returns the host that an agent is on, and the one that it was on
// before where there was one.
func (rs *RuleSession) HostsOf(n *Entity) []string { return rs.s.entities.names(n) }

// SilenceExplained reports whether the fleet knows why an agent is not heard:
// it, or its host, said goodbye, or its site or its feed is dark.
func (rs *RuleSession) SilenceExplained(n *Entity) bool {
	return rs.s.fleet != nil && len(rs.s.fleet.states) > 0 && rs.s.fleet.explains(n)
}

// FeedLag is the learned delay of a feed; 0 without a fleet.
func (rs *RuleSession) FeedLag(feed string) time.Duration {
	if rs.s.fleet == nil || len(rs.s.fleet.states) == 0 {
		return 0
	}
	return rs.s.fleet.shard.Lag(feed)
}

// Rollouts are the rollouts that the fleet's judge knows of.
func (rs *RuleSession) Rollouts() []fleet.Rollout { return rs.s.fleet.fleet.Rollouts(fleet.Policy{}) }

// Agents tells how many agents the session knows, and how many of them were
// not heard for a span.
func (rs *RuleSession) Agents(span int64) (all, silent int) {
	for e := range rs.s.entities.known.All() {
		all++
		if rs.s.now-e.Data.LastSeen > span {
			silent++
		}
	}
	return all, silent
}
