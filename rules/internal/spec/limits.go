package spec

import (
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Limits of a set of rules and of one rule. Those of a file are package
// strict's, those of a condition package expression's. They are far beyond what
// people write, and keep a wrong directory, or a rule made by a program, from
// taking the gateway's time and memory.
const (
	maxRules      = 20_000    // Of a set, definitions of lists and macros included.
	maxBytes      = 64 << 20  // Of all files of a set.
	maxExceptions = 256       // Of a rule: each is a condition more for every match.
	maxMappings   = 64        // Of a rule's severity_mapping, and of its risk_score_mapping.
	maxKeyFields  = 16        // Of group_by.
	maxTests      = 500       // Of a rule.
	maxRuleEvents = 1_000_000 // Of all tests of a rule.
	maxTestOffset = 366 * 24 * time.Hour
)

// Room counts what a set has taken in.
type Room struct {
	rules, bytes int
	Full         bool // Said already.
}

// CountFile counts a file, and reports the first that is too much.
func (r *Room) CountFile(file string, bytes, rules int) error {
	r.bytes += bytes
	r.rules += rules
	if r.Full {
		return nil
	}
	p := strict.Problem{File: file, Line: 1, Column: 1, Hint: "is this a directory of rules? Spread the rules over several gateways"}
	switch {
	case r.bytes > maxBytes:
		p.Message = fmt.Sprintf("the rule files have more than %d bytes in all, too many with this one", maxBytes)
	case r.rules > maxRules:
		p.Message = fmt.Sprintf("more than %d rules, lists and macros in all, too many with this file", maxRules)
	default:
		return nil
	}
	r.Full = true
	return strict.NewError(p)
}

// atMost reports a list of a rule that is too long.
func (c *Checker) atMost(key string, found, allowed int, hint string) {
	if found > allowed {
		c.Problem(key, fmt.Sprintf("%s has %d entries, at most %d are allowed", key, found, allowed), hint)
	}
}

// checkSizes reports lists of a rule that are too long, and tests that would
// take too much time together; what one test may have is its own check.
func checkSizes(c *Checker, h *Header) {
	c.atMost("exceptions", len(h.Exceptions), maxExceptions, "name the hosts in a list that one exception uses")
	c.atMost("severity_mapping", len(h.SeverityMap), maxMappings, "name the values in a list that one entry uses")
	c.atMost("risk_score_mapping", len(h.RiskMap), maxMappings, "name the values in a list that one entry uses")
	if h.GroupBy != nil {
		c.atMost("group_by", len(*h.GroupBy), maxKeyFields, "")
	}
	c.atMost("tests", len(h.Tests), maxTests, "split the rule")
	total := 0
	for i := range h.Tests {
		total += h.Tests[i].events()
	}
	if total > maxRuleEvents {
		c.Problem("tests", fmt.Sprintf("the tests have %d events in all, at most %d are allowed", total, maxRuleEvents), "make the fleets smaller")
	}
}
