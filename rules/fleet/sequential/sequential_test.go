package sequential

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// exposedAtAlarm simulates hosts that get a version one by one, a share r of
// the fleet, and returns how many had it when the process alarmed.
func exposedAtAlarm(rng *rand.Rand, base, bad, r, threshold float64, limit int) int {
	var p EProcess
	for exposed := 1; exposed <= limit; exposed++ {
		// For every exposed host there are (1-r)/r hosts of the control arm.
		if rng.Float64() < bad {
			p.Observe(1, 0, r)
		}
		control := 0
		for range int(math.Round((1 - r) / r)) {
			if rng.Float64() < base {
				control++
			}
		}
		p.Observe(0, control, r)
		if p.Log() >= threshold {
			return exposed
		}
	}
	return limit
}

func TestExposedHostsToAlarm(t *testing.T) {
	for _, test := range []struct {
		bad    float64
		median int
	}{{1, 7}, {0.5, 12}, {0.1, 70}, {0.02, 600}} {
		rng := rand.New(rand.NewPCG(1, 2))
		var runs []int
		for range 201 {
			runs = append(runs, exposedAtAlarm(rng, 0.002, test.bad, 0.1, Threshold(131_000, 1), 4000))
		}
		slices.Sort(runs)
		if m := runs[len(runs)/2]; m > test.median {
			t.Errorf("failure rate %v: %d exposed hosts at the alarm in the median, want at most %d", test.bad, m, test.median)
		}
	}
}

func TestNoAlarmWithoutHarm(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const alpha, runs = 0.01, 2000
	alarms := 0
	for range runs {
		var p EProcess
		for range 300 {
			r := 0.02 + 0.9*rng.Float64()
			if rng.Float64() < r {
				p.Observe(1, 0, r)
			} else {
				p.Observe(0, 1, r)
			}
			if p.Log() >= -math.Log(alpha) {
				alarms++
				break
			}
		}
	}
	if share := float64(alarms) / runs; share > alpha*1.5 {
		t.Errorf("%.3f of the runs without harm alarmed, want at most about %.3f", share, alpha)
	}
}

func TestNothingToCompare(t *testing.T) {
	var p EProcess
	p.Observe(100, 0, 1)
	p.Observe(0, 100, 0)
	if p.Log() != 0 || p.NewArm != 100 || p.Control != 100 {
		t.Errorf("log %v after failures without a second arm, counts %v and %v", p.Log(), p.NewArm, p.Control)
	}
}

func TestManyFailuresDoNotOverflow(t *testing.T) {
	var p EProcess
	p.Observe(1_000_000, 0, 0.001)
	if l := p.Log(); math.IsInf(l, 0) || math.IsNaN(l) || l < 1e6 {
		t.Errorf("log is %v", l)
	}
}

func TestCUSUM(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	h := NewHazard(14 * 86400)
	c := NewCUSUM()
	const agents, step = 40_000, 10.0
	for range 24 * 360 { // A day of quiet.
		silent := 0.0
		for range 3 {
			if rng.Float64() < agents*step/(14*86400)/3 {
				silent++
			}
		}
		if c.Step(silent, h.Expect(agents, step)) {
			t.Fatal("alarm on a quiet fleet")
		}
		h.Learn(silent, agents, step)
	}
	steps := 0
	for !c.Step(100, h.Expect(agents, step)) { // 1 % a minute falls silent.
		if steps++; steps > 3 {
			t.Fatalf("no alarm after %d steps, sum %v", steps, c.Sum)
		}
		h.Learn(100, agents, step)
	}
}
