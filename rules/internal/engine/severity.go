package engine

import (
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// Override is a compiled entry of either mapping.
type Override struct {
	When     *expression.Expression
	severity string
	Risk     float64
}

func (c *Compiler) overrides(h *spec.Header) (severities, risks []Override) {
	for i := range h.SeverityMap {
		if x := c.Condition(h.SeverityMap[i].When); x != nil {
			severities = append(severities, Override{When: x, severity: h.SeverityMap[i].Severity})
		}
	}
	for i := range h.RiskMap {
		if x := c.Condition(h.RiskMap[i].When); x != nil {
			risks = append(risks, Override{When: x, Risk: h.RiskMap[i].RiskScore})
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
		if r.severities[i].When.Eval(&env) == expression.True {
			if severity != r.severities[i].severity {
				severity = r.severities[i].severity
				_, risk = spec.Band(severity)
			}
			break
		}
	}
	for i := range r.risks {
		if r.risks[i].When.Eval(&env) == expression.True {
			return severity, r.risks[i].Risk
		}
	}
	return severity, risk
}
