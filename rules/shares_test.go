package rules

import (
	"math"
	"testing"
	"time"
)

// usual says how often something that a rule of the library counts happens to an
// agent without a cause: so often a day, or to so large a part at any time.
type usual struct {
	perDay, part float64
	window       time.Duration
	needed       [3]int64 // Agents that it takes among 50, 5,000 and 500,000.
}

// usualRates are assumptions, on the high side of what fleets show; a fleet that
// is worse copies the rule.
func usualRates() map[string]usual {
	return map[string]usual{
		"EDR protection switched off on many hosts":               {1.0 / 500, 0, 30 * time.Minute, [3]int64{5, 5, 100}},
		"Tamper attempts on many EDR agents":                      {1.0 / 1000, 0, time.Hour, [3]int64{5, 5, 100}},
		"EDR agents removed from many hosts":                      {1.0 / 300, 0, time.Hour, [3]int64{10, 10, 500}},
		"EDR agents blocked by code integrity on many hosts":      {1.0 / 5000, 0, time.Hour, [3]int64{5, 5, 50}},
		"Many EDR agents in reduced functionality":                {0, 0.01, time.Hour, [3]int64{10, 250, 10_000}},
		"EDR agents of one product busy on many hosts":            {0, 0.003, 15 * time.Minute, [3]int64{12, 100, 10_000}},
		"One error on many EDR agents":                            {1.0 / 100, 0, 30 * time.Minute, [3]int64{12, 12, 1000}},
		"EDR agents of one product use much memory on many hosts": {0, 0.002, 30 * time.Minute, [3]int64{12, 100, 10_000}},
		"EDR agent crashes on many hosts":                         {1.0 / 200, 0, 15 * time.Minute, [3]int64{8, 8, 100}},
		"EDR agents of several hosts crash in the same place":     {1.0 / 10_000, 0, 2 * time.Hour, [3]int64{3, 3, 50}},
		"EDR policy fails on many hosts":                          {1.0 / 200, 0, time.Hour, [3]int64{10, 10, 1000}},
		"EDR uninstall tokens of many agents revealed":            {1.0 / 200_000, 0, time.Hour, [3]int64{5, 5, 10}},
		"Many hosts crash at once":                                {1.0 / 100, 0, 15 * time.Minute, [3]int64{10, 10, 100}},
		"Several hosts with one content version crash":            {1.0 / 200, 0, 10 * time.Minute, [3]int64{5, 5, 100}},
		"EDR telemetry dropped on many hosts":                     {1.0 / 50, 0, 30 * time.Minute, [3]int64{12, 12, 1000}},
		"EDR content update fails across the fleet":               {1.0 / 20, 0, 15 * time.Minute, [3]int64{16, 25, 2500}},
	}
}

// TestSharesHoldAtAnySize asks of each rule of the library that counts agents
// over the fleet how many it takes, and that chance reaches so many less than
// once in ten years.
func TestSharesHoldAtAnySize(t *testing.T) {
	files, err := ParseTrees(Tree{FS: Library()})
	if err != nil {
		t.Fatal(err)
	}
	set, err := files.Compile(dictionary(t))
	if err != nil {
		t.Fatal(err)
	}
	rates := usualRates()
	for _, r := range set.Rules() {
		if !r.FleetWide() || r.AgentsNeeded(0) == 0 {
			continue
		}
		u, ok := rates[r.Name]
		if !ok {
			t.Errorf("%s counts over the fleet: say how often that happens by chance", r.Name)
			continue
		}
		delete(rates, r.Name)
		for i, agents := range []float64{50, 5_000, 500_000} {
			needed := r.AgentsNeeded(int64(agents))
			if needed != u.needed[i] {
				t.Errorf("%s: among %v agents it takes %d, expected %d", r.Name, agents, needed, u.needed[i])
			}
			mean := agents * (u.perDay*u.window.Hours()/24 + u.part)
			windows := 10 * 365 * 24 / u.window.Hours()
			if u.part > 0 {
				windows = 3650 // Who is so at one time is so at the next: a day is one draw.
			}
			if often := windows * atLeast(mean, needed); often > 1 {
				t.Errorf("%s: among %v agents, of which %.3g a window are usual, chance reaches %d about %.2g times in ten years", r.Name, agents, mean, needed, often)
			}
		}
	}
	for name := range rates {
		t.Errorf("%s is no rule that counts over the fleet", name)
	}
}

// atLeast is the probability that a Poisson variable is as large.
func atLeast(mean float64, n int64) float64 {
	sum := 0.0
	for k := n; k < n+1000; k++ {
		log, _ := math.Lgamma(float64(k) + 1)
		sum += math.Exp(float64(k)*math.Log(mean) - mean - log)
	}
	return sum
}
