package spec

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Checker collects the problems of one rule.
type Checker struct {
	node     strict.Node
	problems []strict.Problem
	warnings []strict.Problem
}

// NewChecker returns a checker of the rule in a node.
func NewChecker(n strict.Node) Checker { return Checker{node: n} }

// Found returns what was reported.
func (c *Checker) Found() (problems, warnings []strict.Problem) { return c.problems, c.warnings }

// Err is what was reported as one error; nil without problems.
func (c *Checker) Err() error { return strict.NewError(c.problems...) }

// Report adds what was found by others.
func (c *Checker) Report(problems, warnings []strict.Problem) {
	c.problems = append(c.problems, problems...)
	c.warnings = append(c.warnings, warnings...)
}

// OK reports whether there are no problems so far.
func (c *Checker) OK() bool { return len(c.problems) == 0 }

// Problem reports something about a key, or about the rule when it is absent.
func (c *Checker) Problem(key, message, hint string) {
	c.problems = append(c.problems, c.locate(key, message, hint))
}

// Warn warns about a key, or about the rule when it is absent.
func (c *Checker) Warn(key, message, hint string) {
	c.warnings = append(c.warnings, c.locate(key, message, hint))
}

// WarnAt warns about a key of another node of the rule.
func (c *Checker) WarnAt(n strict.Node, key, message, hint string) {
	other := Checker{node: n}
	c.warnings = append(c.warnings, other.locate(key, message, hint))
}

func (c *Checker) locate(key, message, hint string) strict.Problem {
	n := c.node
	for part := range strings.SplitSeq(key, ".") {
		inner := n.Get(part)
		if inner.IsZero() {
			break
		}
		n = inner
	}
	p := n.Problem("%s", message)
	p.Hint = hint
	return p
}

// OneOf reports a value that is none of some words; false then.
func (c *Checker) OneOf(key, value string, words []string) bool {
	if slices.Contains(words, value) {
		return true
	}
	hint := "expected one of " + strings.Join(words, ", ")
	if near, ok := strict.Nearest(value, words); ok {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	c.Problem(key, fmt.Sprintf("unknown %s %q", key, value), hint)
	return false
}

// MaxSpan bounds every duration of a rule: state has to be rebuilt from
// records that Kafka still has.
const MaxSpan = 31 * 24 * time.Hour

// Positive checks a duration; optional ones may be zero.
func (c *Checker) Positive(key string, d time.Duration, optional bool) {
	switch {
	case d < 0 || d == 0 && !optional:
		c.Problem(key, fmt.Sprintf("%s is %s, expected a positive duration such as 10m", key, strict.FormatDuration(d)), "")
	case d > MaxSpan:
		c.Problem(key, fmt.Sprintf("%s is %s, more than %s", key, strict.FormatDuration(d), strict.FormatDuration(MaxSpan)), "")
	}
}
