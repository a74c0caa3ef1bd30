package kinds

import (
	"math"
	"strconv"
	"strings"
)

// tally keeps what tells whether the statistic of a key's newest window may
// satisfy a rule's bounds, so that the window is measured only where it may.
// Each sample is added once and taken out once.
//
// A percentile, and with it least and greatest, satisfies a bound exactly when
// so many samples do; these are counted. Sums are kept with a bound of their
// rounding error, and of that of the sum in order that is the statistic: close
// to a bound the window itself decides.
type tally struct {
	known bool
	from  int32 // Place of the window's first sample.

	above, below int32 // Samples that satisfy the lower, the upper bounds.
	odd          int32 // Samples that are no numbers, which nothing can be said of.

	sum, size, slack float64 // The sum, that of the amounts, and how far off either may be.
}

// tallyPlan is what a tally needs to know of the rule.
type tallyPlan struct {
	having  *bounds
	percent int // Of a percentile; 0 for the least, 100 for the greatest, -1 for sums.
	mean    bool
}

func newTallyPlan(function string, having *bounds) tallyPlan {
	p := tallyPlan{having: having, percent: -1, mean: function == "avg"}
	switch function {
	case "min":
		p.percent = 0
	case "max":
		p.percent = 100
	default:
		if digits, ok := strings.CutPrefix(function, "p"); ok {
			p.percent, _ = strconv.Atoi(digits) // checked by statistic
		}
	}
	return p
}

// epsilon is the largest relative rounding error of a float64.
const epsilon = 1.0 / (1 << 53)

// advance takes the last of the samples in, which is the newest by time, and
// those out that its window does not hold.
func (t *tally) advance(p *tallyPlan, samples []sample, window int64) {
	last := len(samples) - 1
	oldest := samples[last].at - window
	if t.known {
		t.add(p, samples[last].value, 1)
		for samples[t.from].at <= oldest {
			t.add(p, samples[t.from].value, -1)
			t.from++
		}
		return
	}
	*t = tally{known: true, from: int32(last + 1)}
	for t.from > 0 && samples[t.from-1].at > oldest {
		t.from--
		t.add(p, samples[t.from].value, 1)
	}
}

// dropped tells that the first n samples are gone.
func (t *tally) dropped(n int) {
	if t.from -= int32(n); t.from < 0 {
		t.known = false
	}
}

// add counts a sample, or with a sign of -1 takes it out.
func (t *tally) add(p *tallyPlan, v float64, sign int32) {
	if p.percent >= 0 {
		if v != v {
			t.odd += sign
		}
		if p.having.holdBelow(v) {
			t.below += sign
		}
		if p.having.holdAbove(v) {
			t.above += sign
		}
		return
	}
	t.sum += v * float64(sign)
	t.size += math.Abs(v) * float64(sign)
	t.slack += 2 * epsilon * (math.Abs(t.sum) + math.Abs(t.size))
}

// may reports whether the statistic of the window of n samples can satisfy the
// bounds.
func (t *tally) may(p *tallyPlan, n int) bool {
	if p.percent >= 0 {
		rank := max((p.percent*n+99)/100, 1)
		return t.odd > 0 || int(t.above) >= n-rank+1 && int(t.below) >= rank
	}
	off := t.slack + 4*epsilon*float64(n)*(t.size+t.slack)
	low, high := t.sum-off, t.sum+off
	if p.mean {
		low, high = low/float64(n), high/float64(n)
		low, high = low-4*epsilon*math.Abs(low), high+4*epsilon*math.Abs(high)
	}
	// What is infinite, or no number, is measured, and so is what has become
	// too inaccurate; the next event starts a new count.
	if t.known = off <= min(epsilon*1024*float64(n)*t.size, math.MaxFloat64); !t.known {
		return true
	}
	return p.having.holdAbove(high) && p.having.holdBelow(low)
}
