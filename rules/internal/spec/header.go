package spec

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
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
	Across         string        `yaml:"across"` // topics: the events of one agent may be in several.
	KeepFiringFor  time.Duration `yaml:"keep_firing_for"`
	Suppress       time.Duration `yaml:"suppress"`
	Rollup         *Rollup       `yaml:"rollup"`
	Budget         time.Duration `yaml:"budget"` // Mean time for a candidate event; over it the rule turns shadow.
	Stage          string        `yaml:"stage"`  // live, or shadow: judged and counted, but silent.
	Exceptions     []Exception   `yaml:"exceptions"`
	Respond        []Response    `yaml:"respond"` // What is done about alerts.
	SeverityMap    []mappedLevel `yaml:"severity_mapping"`
	RiskMap        []mappedRisk  `yaml:"risk_score_mapping"`
	Tests          []TestCase    `yaml:"tests"`
}

// Shared is what a declaration that embeds the header answers.
func (h *Header) Shared() *Header { return h }

// DefaultHeader is what a file that says nothing else means.
func DefaultHeader() Header {
	return Header{Version: 1, Maturity: "production", Enabled: true, Scope: "host", Stage: "live"}
}

// Maturities are the values of maturity in rising order. Only rules of
// production maturity have to carry tests and a triage note.
func Maturities() []string {
	return []string{"deprecated", "development", "experimental", "beta", "production"}
}

// Band returns the risk scores of a severity, those of Elastic's detection
// rules; info shares the lowest with low.
func Band(severity string) (low, high float64) {
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

// DefaultRisk returns the rule's risk score: the top of its severity's band when the
// file does not give one, and half of the lowest band for info.
func (h *Header) DefaultRisk() float64 {
	if h.RiskScore != nil {
		return *h.RiskScore
	}
	_, high := Band(h.Severity)
	if h.Severity == "info" {
		return 10
	}
	return high
}

// CheckHeader reports what is wrong with the shared keys.
func CheckHeader(c *Checker, h *Header) {
	if err := uuid.Validate(h.ID); err != nil || len(h.ID) != 36 {
		c.Problem("id", fmt.Sprintf("%q is not a UUID", h.ID), "uuidgen makes one")
	}
	if strings.TrimSpace(h.Name) == "" {
		c.Problem("name", "the name is empty", "")
	}
	if h.Version < 1 {
		c.Problem("version", fmt.Sprintf("version is %d, expected 1 or more", h.Version), "")
	}
	c.OneOf("kind", h.Kind, ecs.AlertKinds())
	c.OneOf("scope", h.Scope, ecs.AlertScopes())
	c.OneOf("maturity", h.Maturity, Maturities())
	c.OneOf("stage", h.Stage, []string{"live", "shadow"})
	checkSizes(c, h)
	checkExceptions(c, h.Exceptions)
	checkResponses(c, h.Respond)
	checkRollup(c, h)
	checkAcross(c, h)
	checkMappings(c, h)
	if c.OneOf("severity", h.Severity, ecs.Severities()) {
		low, high := Band(h.Severity)
		if r := h.DefaultRisk(); r < low || r > high {
			c.Problem("risk_score", fmt.Sprintf("risk_score %v does not fit severity %s", r, h.Severity),
				fmt.Sprintf("expected %v to %v", low, high))
		}
	}
	c.Positive("keep_firing_for", h.KeepFiringFor, true)
	c.Positive("suppress", h.Suppress, true)
	c.Positive("budget", h.Budget, true)
	if h.Maturity == "production" {
		if len(strings.TrimSpace(h.Note)) == 0 {
			c.Problem("note", "a production rule needs a note: what an analyst should do with its alerts", "")
		}
		if strings.TrimSpace(h.Description) == "" {
			c.Problem("description", "a production rule needs a description", "")
		}
		if len(h.Tests) == 0 {
			c.Problem("tests", "a production rule needs tests: at least one that alerts and one that does not",
				"or set maturity: development")
		}
	}
}
