package rules

import (
	"fmt"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// mappedLevel is an entry of severity_mapping: the severity of an alert that is
// raised by an event of which the condition is true. The first that is wins.
type mappedLevel struct {
	When     strict.Text `yaml:"when,required"`
	Severity string      `yaml:"severity,required"`
}

// mappedRisk is an entry of risk_score_mapping.
type mappedRisk struct {
	When      strict.Text `yaml:"when,required"`
	RiskScore float64     `yaml:"risk_score,required"`
}

func checkMappings(c *checker, h *Header) {
	for i := range h.SeverityMap {
		c.oneOf("severity_mapping", h.SeverityMap[i].Severity, ecs.Severities())
	}
	for i := range h.RiskMap {
		if r := h.RiskMap[i].RiskScore; !(r >= 0 && r <= 100) {
			c.problem("risk_score_mapping", fmt.Sprintf("risk_score is %v, expected 0 to 100", r), "")
		}
	}
}

// override is a compiled entry of either mapping.
type override struct {
	when     *expression.Expression
	severity string
	risk     float64
}

func (c *compiler) overrides(h *Header) (severities, risks []override) {
	for i := range h.SeverityMap {
		if x := c.condition(h.SeverityMap[i].When); x != nil {
			severities = append(severities, override{when: x, severity: h.SeverityMap[i].Severity})
		}
	}
	for i := range h.RiskMap {
		if x := c.condition(h.RiskMap[i].When); x != nil {
			risks = append(risks, override{when: x, risk: h.RiskMap[i].RiskScore})
		}
	}
	return severities, risks
}

// weigh returns how bad an alert is that an event raises; nil: a timer does. A
// severity from the mapping brings the top of its band as risk score, unless
// the event has one of its own.
func (r *Rule) weigh(e *event.Event) (severity string, risk float64) {
	severity, risk = r.Severity, r.RiskScore
	if e == nil || len(r.severities)+len(r.risks) == 0 {
		return severity, risk
	}
	env := expression.Env{Event: e}
	for i := range r.severities {
		if r.severities[i].when.Eval(&env) == expression.True {
			if severity != r.severities[i].severity {
				severity = r.severities[i].severity
				_, risk = band(severity)
			}
			break
		}
	}
	for i := range r.risks {
		if r.risks[i].when.Eval(&env) == expression.True {
			return severity, r.risks[i].risk
		}
	}
	return severity, risk
}
