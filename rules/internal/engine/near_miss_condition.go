package engine

import (
	"math"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// look offers what keeps an event out of the rules' states: a condition that
// is not true, or what is asked for beside it.
func (n *NearMisses) look(s *Session, m *Evaluation) {
	for i := range s.set.hooks {
		h := &s.set.hooks[i]
		r := s.set.rules[h.rule]
		if h.Unexcepted || !n.wants(r) {
			continue // An absent step, or a goodbye: that it does not come makes no alert rarer.
		}
		miss := NearMiss{Rule: r, At: m.At, Stage: MissedEntry}
		key, lacking := s.appendGroupKey(s.key[:0], r, m)
		if s.key = key; lacking == nil {
			miss.Key = string(key)
		}
		truth := h.X.Eval(&s.env)
		switch {
		case truth != expression.True && s.anyOf(h.rule):
			continue // It is another step of the rule.
		case truth != expression.True:
			miss.Stage, miss.Clauses = MissedCondition, s.set.terms(h.X, &s.env)
			miss.Nearness, miss.Reason = judgeParts(h.X.Explain(&s.env), miss.Clauses)
			miss.Reason = role(h.Role) + " was " + truth.String() + miss.Reason
		case r.excepted(&s.env, s.now):
			miss.Reason = "satisfied " + role(h.Role) + ", and an exception took it out"
		case lacking != nil:
			miss.Reason = "satisfied " + role(h.Role) + " without " + lacking.name + ", which group_by names"
			if lacking.entity {
				miss.Reason = "satisfied " + role(h.Role) + " and names nobody: it has neither agent.id nor host.name or host.id (group_by: the entity)"
			}
		case m.Late && !h.TakesLate:
			miss.Measure, miss.Value, miss.Bound = "seconds late", wording.Seconds(s.now-m.At), wording.Seconds(s.lateness)
			miss.Nearness = float64(s.lateness) / float64(s.now-m.At)
			miss.Reason = "satisfied " + role(h.Role) + " " + wording.Duration(s.now-m.At) + " late, later than the lateness of " + wording.Duration(s.lateness)
		default:
			name := h.absent(s.set.dict, m.Event)
			if name == "" {
				continue
			}
			miss.Reason = "satisfied " + role(h.Role) + " in an event without " + name
		}
		n.Offer(miss)
	}
	s.env.Failed = false
}

// anyOf reports whether any condition of a rule is true for the event of env.
func (s *Session) anyOf(rule int) bool {
	for i := range s.set.hooks {
		if h := &s.set.hooks[i]; h.rule == rule && h.X.Eval(&s.env) == expression.True {
			return true
		}
	}
	return false
}

// role names a condition in a sentence.
func role(role string) string {
	if role == "reading" {
		role = "condition"
	}
	return "the " + role
}

// absent is the name of a field that the rule needs beside its condition and
// the event lacks; "" when it has all.
func (h *boundHook) absent(dict *ecs.Dictionary, e *event.Event) string {
	for _, alt := range h.Alternatives {
		if len(alt) == 1 && alt[0].Op == expression.Present && !e.Has(alt[0].Field) {
			return dict.Field(alt[0].Field).Name
		}
	}
	return ""
}

// judgeParts tells how much of a condition was true, from 0 to 1, and in words
// which part of it failed first. Of parts joined by and all count alike, of
// those joined by or the nearest; a comparison with a number counts by how near
// the field's value is.
func judgeParts(parts []expression.Part, terms []Term) (nearness float64, reason string) {
	if len(parts) == 0 {
		return 0, ""
	}
	j := partJudge{parts, terms}
	nearness, _, _ = j.share(0)
	failed := j.failed(0)
	if failed == 0 && len(parts) > 1 {
		return nearness, "" // A negation of what is true.
	}
	t := &terms[failed]
	reason = ": " + t.Text
	if failed > 0 {
		reason += " was " + t.Result
	}
	for i, f := range t.Fields {
		switch {
		case i == 3:
			return nearness, reason + ", …"
		case !f.Found:
			reason += ", " + f.Name + " is missing"
		default:
			reason += ", " + f.Name + " was " + f.Value
		}
	}
	return nearness, reason
}

// partJudge walks over the parts of a condition, which stand in the order in
// which they are written, each before those that it is made of.
type partJudge struct {
	parts []expression.Part
	terms []Term
}

// share is the share of a part that is true. What is joined by and counts with
// a weight of one a part, whatever the nesting. end is the place after it.
func (j *partJudge) share(i int) (share, weight float64, end int) {
	p := &j.parts[i]
	end = i + 1
	sum, most, parts := 0.0, 0.0, 0.0
	for end < len(j.parts) && j.parts[end].Depth > p.Depth {
		var one, each float64
		if one, each, end = j.share(end); p.Join != expression.And {
			each = 1
		}
		parts, sum, most = parts+each, sum+one*each, max(most, one)
	}
	weight = 1
	if p.Join == expression.And && parts > 0 {
		weight = parts
	}
	switch {
	case p.Truth == expression.True:
		share = 1
	case p.Join == expression.And && parts > 0:
		share = sum / parts
	case p.Join == expression.Or:
		share = most
	case p.Bound != nil && p.Truth == expression.False && j.terms[i].number != nil:
		share = Closeness(*j.terms[i].number, *p.Bound)
	}
	return share, weight, end
}

// failed is the place of the part that failed first: of and the first that is
// not true, of or the nearest.
func (j *partJudge) failed(i int) int {
	p := &j.parts[i]
	if p.Join == expression.Other {
		return i
	}
	best, nearest := i, -1.0
	for at := i + 1; at < len(j.parts) && j.parts[at].Depth > p.Depth; {
		share, _, end := j.share(at)
		if j.parts[at].Truth != expression.True {
			if p.Join == expression.And {
				return j.failed(at)
			}
			if share > nearest {
				best, nearest = at, share
			}
		}
		at = end
	}
	if best == i {
		return i
	}
	return j.failed(best)
}

// Closeness is how near a value is to a bound: 1 at it, 0 where the distance is
// as large as the larger of both.
func Closeness(value, bound float64) float64 {
	scale := max(math.Abs(value), math.Abs(bound))
	if scale == 0 {
		return 1
	}
	return max(0, 1-math.Abs(value-bound)/scale)
}
