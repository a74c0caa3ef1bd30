package sequential

import "math"

// ratios are the rate ratios that an EProcess bets on, in equal parts.
var ratios = [...]float64{2, 3, 5, 10, 30, 100, 1000}

// EProcess tests whether failures fall on one arm of a comparison more often
// than its share of those at risk explains: a mixture of likelihood ratios of
// the conditional binomial (Lindon and Malek, "Anytime-Valid Inference For
// Multinomial Count Data", NeurIPS 2022). While the arms fail at the same rate
// its value stays below 1/alpha for ever with probability 1-alpha (Ville's
// inequality), however often it is looked at and however the common rate of
// failure moves. It assumes that failures are independent of each other and
// that who is in which arm does not depend on who is about to fail.
//
// The zero value is ready for use. It is not safe for concurrent use.
type EProcess struct {
	logs    [len(ratios)]float64 // of the likelihood ratio of each bet
	NewArm  float64              // failures counted in the new arm
	Control float64              // and in the other
}

// Bets returns the logarithms of the bets, to be kept and set again; they are
// the process's own.
func (p *EProcess) Bets() []float64 { return p.logs[:] }

// Observe counts failures: fresh of them in the new arm, whose share of those
// at risk was r, and control in the other. A share of 0 or 1 leaves nothing
// to compare and only counts.
func (p *EProcess) Observe(fresh, control int, r float64) {
	p.NewArm += float64(fresh)
	p.Control += float64(control)
	if !(r > 0 && r < 1) || fresh+control == 0 {
		return
	}
	for i, theta := range ratios {
		// With rate ratio theta a failure is in the new arm with probability
		// theta*r/(theta*r+1-r), against r under the null.
		below := math.Log(theta*r + 1 - r)
		p.logs[i] += float64(fresh)*(math.Log(theta)-below) - float64(control)*below
	}
}

// Log returns the natural logarithm of the value: of the mean over the bets.
// 0 before the first failure; an alarm at level alpha is Log() >= -ln(alpha).
func (p *EProcess) Log() float64 {
	highest := p.logs[0]
	for _, l := range p.logs[1:] {
		highest = max(highest, l)
	}
	sum := 0.0
	for _, l := range p.logs {
		sum += math.Exp(l - highest)
	}
	return highest + math.Log(sum/float64(len(ratios)))
}

// Threshold is the Log at which one of several processes that are run at a
// time, and of which so many are begun a year, may be believed with at most
// perYear false alarms a year.
func Threshold(begunPerYear, perYear float64) float64 {
	return math.Log(max(begunPerYear, 1) / perYear)
}
