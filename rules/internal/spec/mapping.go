package spec

import (
	"fmt"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
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

func checkMappings(c *Checker, h *Header) {
	for i := range h.SeverityMap {
		c.OneOf("severity_mapping", h.SeverityMap[i].Severity, ecs.Severities())
	}
	for i := range h.RiskMap {
		if r := h.RiskMap[i].RiskScore; !(r >= 0 && r <= 100) {
			c.Problem("risk_score_mapping", fmt.Sprintf("risk_score is %v, expected 0 to 100", r), "")
		}
	}
}
