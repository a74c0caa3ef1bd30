package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Header holds the keys that rules of every type share.
type Header struct {
	ID             string        `yaml:"id,required"` // UUID; stays when the rule changes.
	Name           string        `yaml:"name,required"`
	Version        int           `yaml:"version"` // Counts up with every change of meaning; part of the ids of alerts.
	Kind           string        `yaml:"kind,required"`
	Type           string        `yaml:"type,required"`
	Description    string        `yaml:"description"`
	Severity       string        `yaml:"severity,required"`
	RiskScore      *float64      `yaml:"risk_score"`
	Maturity       string        `yaml:"maturity"`
	Enabled        bool          `yaml:"enabled"`
	Author         []string      `yaml:"author"`
	License        string        `yaml:"license"`
	Created        string        `yaml:"created"`
	Updated        string        `yaml:"updated"`
	Tags           []string      `yaml:"tags"`
	References     []string      `yaml:"references"`
	FalsePositives []string      `yaml:"false_positives"`
	KnownGaps      []string      `yaml:"known_gaps"`
	Note           string        `yaml:"note"` // Triage guide in Markdown.
	Threat         []Threat      `yaml:"threat"`
	Scope          string        `yaml:"scope"`
	GroupBy        *[]string     `yaml:"group_by"`
	KeepFiringFor  time.Duration `yaml:"keep_firing_for"`
	Suppress       time.Duration `yaml:"suppress"`
	Rollup         *rollupKeys   `yaml:"rollup"`
	Budget         time.Duration `yaml:"budget"` // Mean time for a candidate event; over it the rule turns shadow.
	Stage          string        `yaml:"stage"`  // live, or shadow: judged and counted, but silent.
	Exceptions     []exception   `yaml:"exceptions"`
	Respond        []Response    `yaml:"respond"` // What is done about alerts.
	SeverityMap    []mappedLevel `yaml:"severity_mapping"`
	RiskMap        []mappedRisk  `yaml:"risk_score_mapping"`
	Tests          []testCase    `yaml:"tests"`
}

func defaultHeader() Header {
	return Header{Version: 1, Maturity: "production", Enabled: true, Scope: "host", Stage: "live"}
}

// maturities are the values of maturity in rising order. Only rules of
// production maturity have to carry tests and a triage note.
func maturities() []string {
	return []string{"deprecated", "development", "experimental", "beta", "production"}
}

// band returns the risk scores of a severity, those of Elastic's detection
// rules; info shares the lowest with low.
func band(severity string) (low, high float64) {
	switch severity {
	case "medium":
		return 22, 47
	case "high":
		return 48, 73
	case "critical":
		return 74, 100
	}
	return 0, 21
}

// risk returns the rule's risk score: the top of its severity's band when the
// file does not give one, and half of the lowest band for info.
func (h *Header) risk() float64 {
	if h.RiskScore != nil {
		return *h.RiskScore
	}
	_, high := band(h.Severity)
	if h.Severity == "info" {
		return 10
	}
	return high
}

// checkHeader reports what is wrong with the shared keys.
func checkHeader(c *checker, h *Header) {
	if err := uuid.Validate(h.ID); err != nil || len(h.ID) != 36 {
		c.problem("id", fmt.Sprintf("%q is not a UUID", h.ID), "uuidgen makes one")
	}
	if strings.TrimSpace(h.Name) == "" {
		c.problem("name", "the name is empty", "")
	}
	if h.Version < 1 {
		c.problem("version", fmt.Sprintf("version is %d, expected 1 or more", h.Version), "")
	}
	c.oneOf("kind", h.Kind, ecs.AlertKinds())
	c.oneOf("scope", h.Scope, ecs.AlertScopes())
	c.oneOf("maturity", h.Maturity, maturities())
	c.oneOf("stage", h.Stage, []string{"live", "shadow"})
	checkSizes(c, h)
	checkExceptions(c, h.Exceptions)
	checkResponses(c, h.Respond)
	checkRollup(c, h)
	checkMappings(c, h)
	if c.oneOf("severity", h.Severity, ecs.Severities()) {
		low, high := band(h.Severity)
		if r := h.risk(); r < low || r > high {
			c.problem("risk_score", fmt.Sprintf("risk_score %v does not fit severity %s", r, h.Severity),
				fmt.Sprintf("expected %v to %v", low, high))
		}
	}
	c.positive("keep_firing_for", h.KeepFiringFor, true)
	c.positive("suppress", h.Suppress, true)
	c.positive("budget", h.Budget, true)
	if h.Maturity == "production" {
		if len(strings.TrimSpace(h.Note)) == 0 {
			c.problem("note", "a production rule needs a note: what an analyst should do with its alerts", "")
		}
		if strings.TrimSpace(h.Description) == "" {
			c.problem("description", "a production rule needs a description", "")
		}
		if len(h.Tests) == 0 {
			c.problem("tests", "a production rule needs tests: at least one that alerts and one that does not",
				"or set maturity: development")
		}
	}
}

// checker collects the problems of one rule.
type checker struct {
	node     strict.Node
	problems []strict.Problem
	warnings []strict.Problem
}

// newChecker returns a checker of the rule in a node.
func newChecker(n strict.Node) checker { return checker{node: n} }

// found returns what was reported.
func (c *checker) found() (problems, warnings []strict.Problem) { return c.problems, c.warnings }

// err is what was reported as one error; nil without problems.
func (c *checker) err() error { return strict.NewError(c.problems...) }

// report adds what was found by others.
func (c *checker) report(problems, warnings []strict.Problem) {
	c.problems = append(c.problems, problems...)
	c.warnings = append(c.warnings, warnings...)
}

// ok reports whether there are no problems so far.
func (c *checker) ok() bool { return len(c.problems) == 0 }

// problem reports something about a key, or about the rule when it is absent.
func (c *checker) problem(key, message, hint string) {
	c.problems = append(c.problems, c.locate(key, message, hint))
}

func (c *checker) warn(key, message, hint string) {
	c.warnings = append(c.warnings, c.locate(key, message, hint))
}

// warnAt warns about a key of another node of the rule.
func (c *checker) warnAt(n strict.Node, key, message, hint string) {
	other := checker{node: n}
	c.warnings = append(c.warnings, other.locate(key, message, hint))
}

func (c *checker) locate(key, message, hint string) strict.Problem {
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

func (c *checker) oneOf(key, value string, words []string) bool {
	if slices.Contains(words, value) {
		return true
	}
	hint := "expected one of " + strings.Join(words, ", ")
	if near, ok := strict.Nearest(value, words); ok {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	c.problem(key, fmt.Sprintf("unknown %s %q", key, value), hint)
	return false
}

// maxSpan bounds every duration of a rule: state has to be rebuilt from
// records that Kafka still has.
const maxSpan = 31 * 24 * time.Hour

// positive checks a duration; optional ones may be zero.
func (c *checker) positive(key string, d time.Duration, optional bool) {
	switch {
	case d < 0 || d == 0 && !optional:
		c.problem(key, fmt.Sprintf("%s is %s, expected a positive duration such as 10m", key, strict.FormatDuration(d)), "")
	case d > maxSpan:
		c.problem(key, fmt.Sprintf("%s is %s, more than %s", key, strict.FormatDuration(d), strict.FormatDuration(maxSpan)), "")
	}
}
