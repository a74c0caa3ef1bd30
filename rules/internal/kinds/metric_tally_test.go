package kinds

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestTallyNeverHidesAWindow compares what the tally says of a sliding window
// with the window: values of all magnitudes come and go, and bounds stand where
// rounding decides.
func TestTallyNeverHidesAWindow(t *testing.T) {
	values := map[string]func(r *rand.Rand) float64{
		"whole":  func(r *rand.Rand) float64 { return float64(r.IntN(20)) },
		"tenths": func(r *rand.Rand) float64 { return float64(r.IntN(4)) / 10 },
		"wild": func(r *rand.Rand) float64 {
			return (r.Float64() - 0.5) * math.Pow(10, float64(r.IntN(40)-20))
		},
		"no numbers": func(r *rand.Rand) float64 { return []float64{1, 2, 3, math.Inf(1), math.NaN()}[r.IntN(5)] },
	}
	for name, value := range values {
		for _, function := range []string{"sum", "avg", "min", "max", "p1", "p50", "p95", "p99"} {
			t.Run(name+" "+function, func(t *testing.T) {
				r := rand.New(rand.NewPCG(1, 2))
				measure, _ := statistic(function)
				hidden := 0
				for range 40 {
					b := randomBounds(r, value)
					hidden += playTally(t, r, function, &b, measure, value)
				}
				if hidden == 0 && name != "no numbers" {
					t.Error("no window was passed over: the tally is of no use")
				}
			})
		}
	}
}

func randomBounds(r *rand.Rand, value func(*rand.Rand) float64) (b bounds) {
	low, high := value(r), value(r)
	switch r.IntN(5) {
	case 0:
		b.GT = &low
	case 1:
		b.GTE = &low
	case 2:
		b.LT = &low
	case 3:
		b.LTE = &low
	default:
		low, high = min(low, high), max(low, high)
		b.GTE, b.LT = &low, &high
	}
	return b
}

// playTally plays a series and returns how many windows were passed over.
func playTally(t *testing.T, r *rand.Rand, function string, b *bounds, measure func([]sample, []float64) float64, value func(*rand.Rand) float64) (hidden int) {
	t.Helper()
	const window = 10
	plan := newTallyPlan(function, b)
	var k metricKey
	at := int64(0)
	for range 300 {
		at += int64(r.IntN(4))
		when := at
		if r.IntN(20) == 0 {
			when = max(at-int64(r.IntN(15)), 0) // Late.
		}
		pos := k.insert(sample{when, value(r)}, at-2*window)
		samples := k.samples.List()
		if pos < len(samples)-1 {
			k.tally.known = false
			continue
		}
		k.tally.advance(&plan, samples, window)
		start := 0
		for samples[start].at <= when-window {
			start++
		}
		if int(k.tally.from) != start {
			t.Fatalf("the window begins at %d, the tally says %d", start, k.tally.from)
		}
		got := measure(samples[start:], make([]float64, 0, maxSamples))
		may, holds := k.tally.may(&plan, len(samples)-start), b.hold(got)
		if holds && !may {
			t.Fatalf("%s of %v is %v, which satisfies %s, and was passed over", function, samples[start:], got, b.String())
		}
		if plan.percent >= 0 && k.tally.odd == 0 && may != holds {
			t.Fatalf("%s of %v is %v; %s: %v, and the tally says %v", function, samples[start:], got, b.String(), holds, may)
		}
		if !may {
			hidden++
		}
	}
	return hidden
}
