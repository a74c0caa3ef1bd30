package ruletest

import (
	"fmt"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// RuleCoverage tells which parts of a rule's conditions its tests have seen
// with which truth.
type RuleCoverage struct {
	RuleID, Rule, File string
	Line               int
	Clauses            []ClauseCoverage
}

// ClauseCoverage counts the events of the tests by the truth of one boolean
// part of a condition.
type ClauseCoverage struct {
	Condition            string // Which condition of the rule: condition, ends_on, step login, …
	Clause               string // The part in normal form; the whole condition comes first.
	True, False, Unknown int
}

// coverage counts while the tests of one rule run.
type coverage struct {
	conditions []*expression.Expression
	first      []int // Of the clauses of a condition.
	clauses    []ClauseCoverage
	env        expression.Env
}

// newCoverage prepares the counts for the rule of a set that has one.
func newCoverage(set *engine.Ruleset) *coverage {
	c := &coverage{}
	for _, r := range set.Rules() {
		for _, h := range r.Hooks() {
			c.add(h.Role, h.X)
		}
		for _, x := range r.ActiveExceptions() {
			c.add("exception "+x.Name, x.When)
		}
		severities, risks := r.Overrides()
		for i := range severities {
			c.add(fmt.Sprintf("severity_mapping %d", i+1), severities[i].When)
		}
		for i := range risks {
			c.add(fmt.Sprintf("risk_score_mapping %d", i+1), risks[i].When)
		}
	}
	return c
}

func (c *coverage) add(role string, x *expression.Expression) {
	if x == nil {
		return
	}
	if role == "reading" {
		role = "condition" // A rule with for sees every reading.
	}
	c.conditions = append(c.conditions, x)
	c.first = append(c.first, len(c.clauses))
	for _, text := range x.Clauses() {
		c.clauses = append(c.clauses, ClauseCoverage{Condition: role, Clause: text})
	}
}

// see counts one event. A nil coverage counts nothing.
func (c *coverage) see(e *event.Event) {
	if c == nil {
		return
	}
	c.env.Event = e
	for i, x := range c.conditions {
		for j, part := range x.Explain(&c.env) {
			clause := &c.clauses[c.first[i]+j]
			switch part.Truth {
			case expression.True:
				clause.True++
			case expression.False:
				clause.False++
			case expression.Unknown:
				clause.Unknown++
			}
		}
	}
}
