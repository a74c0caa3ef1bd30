package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// exception takes events out of a rule's sight until a day. It has an owner
// who answers for it, and it ends: one that nobody renews is no longer wanted.
type exception struct {
	Name    string      `yaml:"name,required"`
	When    strict.Text `yaml:"when,required"`
	Owner   string      `yaml:"owner,required"`
	Expires string      `yaml:"expires,required"` // The first day on which it no longer holds: 2026-12-31.
	Comment string      `yaml:"comment"`
}

// until is the end of the exception.
func (x *exception) until() (time.Time, error) { return time.Parse(time.DateOnly, x.Expires) }

func checkExceptions(c *checker, list []exception) {
	for i := range list {
		x := &list[i]
		if _, err := x.until(); err != nil {
			c.problem("exceptions", fmt.Sprintf("exception %q: expires is %q, expected a day such as 2026-12-31", x.Name, x.Expires), "")
		}
		if strings.TrimSpace(x.Owner) == "" || strings.TrimSpace(x.Name) == "" {
			c.problem("exceptions", fmt.Sprintf("exception %q needs a name and an owner", x.Name), "")
		}
	}
}

// activeException is a compiled exception.
type activeException struct {
	name, owner string
	when        *expression.Expression
	until       int64
}

func (c *compiler) exceptions(list []exception) []activeException {
	var compiled []activeException
	for i := range list {
		when := c.condition(list[i].When)
		end, err := list[i].until()
		if when == nil || err != nil {
			continue
		}
		compiled = append(compiled, activeException{name: list[i].Name, owner: list[i].Owner, when: when, until: end.UnixNano()})
	}
	return compiled
}

// excepted reports whether an exception of the rule that still holds covers the
// event of the environment. Expiry runs on the clock of the feed, so that a
// replay judges as it would have been judged then.
func (r *Rule) excepted(env *expression.Env, now int64) bool {
	for i := range r.exceptions {
		if x := &r.exceptions[i]; now < x.until && x.when.Eval(env) == expression.True {
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
			end := time.Unix(0, x.until).UTC()
			p := strict.Problem{File: r.File, Line: r.Line, Column: 1}
			switch day := end.Format(time.DateOnly); {
			case !now.Before(end):
				p.Message = fmt.Sprintf("exception %q of %s has expired on %s", x.name, x.owner, day)
				p.Hint = "remove it, or let its owner renew it"
			case now.Add(within).After(end):
				p.Message = fmt.Sprintf("exception %q of %s expires on %s", x.name, x.owner, day)
				p.Hint = "let its owner renew it where it is still needed"
			default:
				continue
			}
			list = append(list, p)
		}
	}
	return list
}
