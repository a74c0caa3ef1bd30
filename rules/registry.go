package rules

import (
	"github.com/edrwatch/edrwatch/rules/internal/kinds"
)

// Kinds are the types of rules. A new one is a file in internal/kinds and a line
// here.
func Kinds() []Kind {
	return []Kind{
		kinds.Anomaly(),
		kinds.Change(),
		kinds.Match(),
		kinds.Metric(),
		kinds.NewTerms(),
		kinds.Rollout(),
		kinds.Sequence(),
		kinds.Silence(),
		kinds.Spike(),
		kinds.Threshold(),
		kinds.Trend(),
		kinds.ValueCount(),
	}
}
