package engine

import (
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// CanarySign is what is known about a canary agent of the gateway: that its beat
// was heard, or an alert about its silence.
type CanarySign struct {
	Agent string // agent.id
	// Rule is the id and RuleName the name of a rule about one agent's silence
	// that speaks of the canary; both are empty where its beat was heard.
	Rule, RuleName string
	Status         string // of that alert: firing or resolved
	// At is the time of the beat, or the one at which the alert was raised, in
	// nanoseconds since 1970.
	At int64
}

// canaryKeys bounds what is remembered of canaries: those of several gateways
// that read one feed, and of each that speaks and the one that falls silent.
const canaryKeys = 64

// Canary judges an event of the gateway's own canary agents by a set of rules,
// which may be the successor of the session's (Inherit), apart from all others: with a clock, agents and states that
// nothing else sees, so that neither the fleet nor any rule takes it for one of
// theirs. What the rules about one agent's silence say of it goes to tell
// alone, and nothing of what other rules say. The strings of a sign may be kept.
// It belongs to the goroutine of the session.
func (s *Session) Canary(set *Ruleset, now int64, e *event.Event, tell func(CanarySign)) {
	if s.canary == nil {
		s.canary = newCanary(set)
	}
	c := s.canary
	if c.set != set {
		c.Reload(set, func(*event.Event) {})
	}
	c.Detect(now, e, func(alert *event.Event) {
		r := c.ruleOf(alert.Str(ecs.RuleID))
		if r == nil || !r.plan.Traits().Silence || r.Shadow || s.set == set && s.silenced(r) || alert.Str(ecs.AgentID) == "" {
			return
		}
		tell(CanarySign{
			Agent: strings.Clone(alert.Str(ecs.AgentID)), Rule: r.ID, RuleName: r.Name, Status: strings.Clone(alert.Str(ecs.EDRAlertStatus)), At: alert.Timestamp(),
		})
	})
	if id := e.Str(ecs.AgentID); id != "" {
		tell(CanarySign{Agent: strings.Clone(id), At: e.Timestamp()})
	}
}

// newCanary returns a session that takes part in no fleet and counts for no
// rule.
func newCanary(set *Ruleset) *Session {
	c := &Session{
		set: set, lateness: int64(event.DefaultLateness), maxKeys: canaryKeys, candidates: make([]uint64, set.index.words),
		counters: make([]Counters, len(set.rules)), published: make([]held, len(set.rules)), isCanary: true,
	}
	c.writer.init(set.dict)
	c.begin()
	return c
}

func (s *Session) ruleOf(id string) *Rule {
	for _, r := range s.set.rules {
		if r.ID == id && !r.removed {
			return r
		}
	}
	return nil
}
