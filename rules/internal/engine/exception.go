package engine

import (
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// activeException is a compiled exception.
type activeException struct {
	Name, Owner string
	When        *expression.Expression
	Until       int64
}

func (c *Compiler) exceptions(list []spec.Exception) []activeException {
	var compiled []activeException
	for i := range list {
		when := c.Condition(list[i].When)
		end, err := list[i].End()
		if when == nil || err != nil {
			continue
		}
		compiled = append(compiled, activeException{Name: list[i].Name, Owner: list[i].Owner, When: when, Until: end.UnixNano()})
	}
	return compiled
}

// excepted reports whether an exception of the rule that still holds covers the
// event of the environment. Expiry runs on the clock of the feed, so that a
// replay judges as it would have been judged then.
func (r *Rule) excepted(env *expression.Env, now int64) bool {
	for i := range r.exceptions {
		if x := &r.exceptions[i]; now < x.Until && x.When.Eval(env) == expression.True {
			return true
		}
	}
	return false
}

// Expiring lists exceptions that have expired at a time, and those that will
// within a span.
func (set *Ruleset) Expiring(now time.Time, within time.Duration) []strict.Problem {
	var list []strict.Problem
	for _, r := range set.rules {
		for i := range r.exceptions {
			x := &r.exceptions[i]
			end := time.Unix(0, x.Until).UTC()
			p := strict.Problem{File: r.File, Line: r.Line, Column: 1}
			switch day := end.Format(time.DateOnly); {
			case !now.Before(end):
				p.Message = fmt.Sprintf("exception %q of %s has expired on %s", x.Name, x.Owner, day)
				p.Hint = "remove it, or let its owner renew it"
			case now.Add(within).After(end):
				p.Message = fmt.Sprintf("exception %q of %s expires on %s", x.Name, x.Owner, day)
				p.Hint = "let its owner renew it where it is still needed"
			default:
				continue
			}
			list = append(list, p)
		}
	}
	return list
}
