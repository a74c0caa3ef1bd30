package sequential

import "math"

// The bet and the calibration of CUSUM. With correct Poisson counts the
// dispersion would be 1 and the threshold ln(looks); real fleets are over-
// dispersed and their usual rate is known badly, for which Dispersion 4 and
// Threshold 22 were calibrated by simulation (see README.md).
const (
	betOnSilence      = 3.0
	DefaultDispersion = 4.0
	DefaultThreshold  = 22.0
)

// CUSUM sums up the evidence that agents fall silent at betOnSilence times the
// usual rate or more: Page's cumulative sum of log-likelihood ratios of
// Poisson counts, S = max(0, S + (D ln 3 - 2 E)/phi). It is not safe for
// concurrent use.
type CUSUM struct {
	// Dispersion is phi; Threshold is the sum at which it alarms.
	Dispersion, Threshold float64
	Sum                   float64
}

// NewCUSUM returns one with the calibrated defaults.
func NewCUSUM() CUSUM { return CUSUM{Dispersion: DefaultDispersion, Threshold: DefaultThreshold} }

// Step takes the count of newly silent agents of one step and how many were
// expected, and reports whether the sum is at or over the threshold.
func (c *CUSUM) Step(silent, expected float64) bool {
	c.Sum = max(0, c.Sum+(silent*math.Log(betOnSilence)-(betOnSilence-1)*expected)/c.Dispersion)
	return c.Sum >= c.Threshold
}
