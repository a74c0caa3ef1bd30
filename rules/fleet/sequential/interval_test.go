package sequential

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestRateRatioAgainstPublishedLimits(t *testing.T) {
	// With half of those at risk in each arm the ratio is the odds of the
	// binomial: the limits of the tables of Clopper and Pearson, p/(1-p).
	for _, c := range []struct {
		fresh, control int
		low, high      float64 // as probabilities
	}{
		{0, 10, 0, 0.3085},
		{1, 9, 0.0025, 0.4450},
		{5, 5, 0.1871, 0.8129},
		{10, 0, 0.6915, 1},
		{50, 50, 0.3983, 0.6017},
	} {
		_, low, high := RateRatio(c.fresh, c.control, 0.5, 0.05)
		if p := low / (1 + low); math.Abs(p-c.low) > 1e-4 {
			t.Errorf("%d of %d: low %.5f, want %.4f", c.fresh, c.fresh+c.control, p, c.low)
		}
		p := 1.0
		if !math.IsInf(high, 1) {
			p = high / (1 + high)
		}
		if math.Abs(p-c.high) > 1e-4 {
			t.Errorf("%d of %d: high %.5f, want %.4f", c.fresh, c.fresh+c.control, p, c.high)
		}
	}
}

func TestRateRatioCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, theta := range []float64{1, 5, 50} {
		const r, runs, n = 0.1, 1000, 40
		p := theta * r / (theta*r + 1 - r)
		missed := 0
		for range runs {
			fresh := 0
			for range n {
				if rng.Float64() < p {
					fresh++
				}
			}
			_, low, high := RateRatio(fresh, n-fresh, r, 0.05)
			if theta < low || theta > high {
				missed++
			}
		}
		// 5 % are allowed; four standard deviations more for the luck of the draw.
		if missed > 50+28 {
			t.Errorf("ratio %v: %d of %d intervals miss it", theta, missed, runs)
		}
	}
}

func TestRateRatioWithoutAnswer(t *testing.T) {
	for _, c := range []struct {
		fresh, control int
		r, alpha       float64
	}{{0, 0, 0.5, 0.05}, {3, 1, 0, 0.05}, {3, 1, 1, 0.05}, {3, 1, 0.5, 0}, {-1, 2, 0.5, 0.05}, {3, 1, math.NaN(), 0.05}} {
		estimate, low, high := RateRatio(c.fresh, c.control, c.r, c.alpha)
		if !math.IsNaN(estimate) || low != 0 || !math.IsInf(high, 1) {
			t.Errorf("%+v: %v in [%v, %v], want nothing known", c, estimate, low, high)
		}
	}
	if estimate, low, high := RateRatio(8000, 2000, 0.1, 0.05); math.Abs(estimate-36) > 1e-9 || !(low > 34 && low < 36) || !(high > 36 && high < 38) {
		t.Errorf("many failures: %v in [%v, %v], want 36 within 2", estimate, low, high)
	}
}
