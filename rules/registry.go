package rules

// Kinds are the types of rules. A new one is a file in internal/kinds and a line
// here.
func Kinds() []Kind {
	return []Kind{
		Anomaly(),
		Change(),
		Match(),
		Metric(),
		NewTerms(),
		Rollout(),
		Sequence(),
		Silence(),
		Spike(),
		Threshold(),
		ValueCount(),
	}
}
