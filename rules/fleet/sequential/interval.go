package sequential

import "math"

// RateRatio estimates how many times as often the new arm fails as the other
// one, given fresh failures in it, control failures in the other and the share
// r, in (0,1), that the new arm had of those at risk. low and high are the
// exact two-sided interval of Clopper and Pearson ("The Use of Confidence or
// Fiducial Limits", Biometrika 1934) of the conditional binomial, carried over
// to the ratio; its coverage is at least 1-alpha for one look with a constant
// share. It says how large the harm is, and is no test: looked at again and
// again it misses the truth more often than alpha, which EProcess does not.
//
// Without a failure in the other arm the estimate and high are +Inf; without
// any failure, with a share outside (0,1) or with an alpha outside (0,1)
// nothing is known: NaN, 0 and +Inf.
func RateRatio(fresh, control int, r, alpha float64) (estimate, low, high float64) {
	if fresh < 0 || control < 0 || fresh+control == 0 || !(r > 0 && r < 1) || !(alpha > 0 && alpha < 1) {
		return math.NaN(), 0, math.Inf(1)
	}
	odds := r / (1 - r)
	estimate, low, high = math.Inf(1), 0, math.Inf(1)
	if control > 0 {
		estimate = float64(fresh) / float64(control) / odds
	}
	n := fresh + control
	if fresh > 0 {
		// The least ratio under which so many failures or more are no surprise.
		low = math.Exp(crossing(func(logit float64) float64 {
			return atLeast(fresh, n, logit)
		}, alpha/2)) / odds
	}
	if control > 0 {
		// And the greatest under which so few are none.
		high = math.Exp(crossing(func(logit float64) float64 {
			return atLeast(fresh+1, n, logit)
		}, 1-alpha/2)) / odds
	}
	return estimate, low, high
}

// crossing finds where tail, which rises with the logarithm of the odds,
// reaches level.
func crossing(tail func(logit float64) float64, level float64) float64 {
	below, above := -40.0, 40.0
	for range 60 {
		middle := (below + above) / 2
		if tail(middle) < level {
			below = middle
		} else {
			above = middle
		}
	}
	return (below + above) / 2
}

// atLeast is the probability of k or more of n, 0 < k <= n, each with the given
// logarithm of odds: the regularised incomplete beta function I_p(k, n-k+1) by
// its continued fraction (DLMF 8.17.22), in some sqrt(n) steps.
func atLeast(k, n int, logit float64) float64 {
	a, b := float64(k), float64(n-k+1)
	// ln p and ln(1-p), which are exact where p is next to 0 or 1.
	soft := math.Log1p(math.Exp(-math.Abs(logit)))
	hit, miss := min(logit, 0)-soft, -max(logit, 0)-soft
	if math.Exp(hit) <= (a+1)/(a+b+2) {
		return fraction(a, b, hit, miss)
	}
	return 1 - fraction(b, a, miss, hit)
}

// fraction is I_x(a, b) for an x below its mean, by Lentz's method.
func fraction(a, b, lnX, lnRest float64) float64 {
	const tiny, enough, most = 1e-300, 1e-14, 100000
	x := math.Exp(lnX)
	ab, _ := math.Lgamma(a + b)
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	away := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/away(1-(a+b)*x/(a+1))
	f := d
	for i := range most {
		m := float64(i + 1)
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d, c = 1/away(1+even*d), away(1+even/c)
		f *= c * d
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d, c = 1/away(1+odd*d), away(1+odd/c)
		f *= c * d
		if math.Abs(c*d-1) < enough {
			break
		}
	}
	return math.Exp(ab-la-lb+a*lnX+b*lnRest) * f / a
}
