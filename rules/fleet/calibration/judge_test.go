package calibration

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/fleet/sequential"
)

// push is a harmful file that reaches the agents of a fleet at random; all of
// them are lost within a minute.
type push struct {
	servers, laptops int
	share            float64 // of the fleet a minute
	beat, late       time.Duration
	fails            float64 // of those that get it
}

// overdue lets the push happen and returns in which step, counted from its
// beginning, the agents of each kind get the file, and become overdue.
func (p *push) overdue(rng *rand.Rand, steps int) (exposed, fell [2][]int, dead []float64) {
	for kind, n := range [2]int{p.servers, p.laptops} {
		exposed[kind], fell[kind] = make([]int, steps), make([]int, steps)
		for range n {
			at := rng.Float64() * 60 / p.share
			if step := int(at / 10); step < steps {
				exposed[kind][step]++
			}
			if rng.Float64() >= p.fails {
				continue
			}
			lost := at + 5 + 55*rng.Float64()
			dead = append(dead, lost)
			// The next beat is due within one interval of the last.
			overdue := lost + rng.Float64()*p.beat.Seconds() + p.late.Seconds()
			if step := int(overdue / 10); step < steps {
				fell[kind][step]++
			}
		}
	}
	slices.Sort(dead)
	return exposed, fell, dead
}

func kinds(sleeps int) fleet.Stratum {
	return fleet.Stratum{Product: "p", OS: "windows", HostType: [2]string{"server", "workstation"}[sleeps]}
}

// told is when the judge reported the push, in seconds after its beginning, and
// how many were dead by then; 0 where it did not within the time.
type told struct{ mass, named, dark float64 }

// detect takes a push through the judge, after so much time of quiet.
func (p *push) detect(seed uint64, quiet time.Duration, steps int) told {
	rng := rand.New(rand.NewPCG(seed, 19072024))
	noise := [2]*spread{{rng: rng, dispersion: 2, wrong: 0.15}, {rng: rng, dispersion: 2, wrong: 0.15}}
	began := time.Date(2024, 7, 19, 4, 10, 0, 0, time.UTC)
	exposed, fell, dead := p.overdue(rng, steps)
	judge := fleet.NewJudge(fleet.DefaultConfig())
	var out told
	alive, with := [2]int{p.servers, p.laptops}, [2]int{}
	version := fleet.Version{Product: "p", Kind: fleet.Content, Channel: "291", Version: "32"}
	for n := -int(quiet / (10 * time.Second)); n < steps; n++ {
		at := began.Add(time.Duration(n+1) * 10 * time.Second)
		step := &fleet.Step{At: at.UnixNano(), Strata: map[fleet.Stratum]*fleet.StratumStep{}, Versions: map[fleet.Version]*fleet.VersionStep{}}
		step.Feeds = map[string]*fleet.FeedStep{"f": {Records: 1000, Beats: 1000, Due: 1000, Alive: alive[0] + alive[1]}}
		for kind, live := range [2]life{servers, laptops} {
			_, hourly := live(int(at.Unix()/3600+3*24) % 168)
			usual := int(noise[kind].count(n/360, float64(alive[kind])*hourly/360))
			st := &fleet.StratumStep{Alive: alive[kind], NewlySilent: usual, Fell: usual, Returned: usual}
			st.Failures[fleet.Silence] = usual
			step.Strata[kinds(kind)] = st
			if n < 0 {
				continue
			}
			with[kind] += exposed[kind][n] - fell[kind][n]
			alive[kind] -= fell[kind][n]
			st.Alive = alive[kind]
			st.NewlySilent += fell[kind][n]
			st.Fell += fell[kind][n]
			st.Failures[fleet.Silence] += fell[kind][n]
			v := step.Versions[version]
			if v == nil {
				v = &fleet.VersionStep{Strata: map[fleet.Stratum]*fleet.ArmStep{}, Rings: map[string]int{}, Sites: map[string]int{}}
				step.Versions[version] = v
			}
			v.Exposed += exposed[kind][n]
			// What is usual hits those with the file by their share.
			unlucky := usual * with[kind] / max(alive[kind], 1)
			v.Strata[kinds(kind)] = &fleet.ArmStep{Alive: with[kind], Fell: fell[kind][n] + unlucky}
			v.Strata[kinds(kind)].Failures[fleet.Silence] = fell[kind][n] + unlucky
		}
		found, _ := judge.Take(step)
		for _, f := range found {
			after := at.Sub(began).Seconds()
			switch {
			case f.Kind == "mass_silence" && out.mass == 0:
				out.mass = after
			case f.Kind == "bad_rollout" && out.named == 0:
				out.named = after
				lost, _ := slices.BinarySearch(dead, after)
				out.dark = float64(lost) / float64(p.servers+p.laptops)
			}
		}
	}
	return out
}

func median(list []float64) (middle, worst float64) {
	for i, v := range list {
		if v == 0 {
			list[i] = 1e9 // not found
		}
	}
	slices.Sort(list)
	return list[len(list)/2], list[len(list)-1]
}

// TestCalibrateDelay prints how soon the judge tells of 19 July.
func TestCalibrateDelay(t *testing.T) {
	if years() == 0 {
		t.Skip("set EDRWATCH_CALIBRATE")
	}
	for _, p := range []push{
		{40_000, 21_000, 0.005, 120 * time.Second, time.Minute, 1}, {40_000, 21_000, 0.01, 120 * time.Second, time.Minute, 1},
		{40_000, 21_000, 0.02, 120 * time.Second, time.Minute, 1}, {40_000, 21_000, 0.1, 120 * time.Second, time.Minute, 1},
		{40_000, 21_000, 0.01, 300 * time.Second, time.Minute, 1}, {40_000, 21_000, 0.01, 900 * time.Second, time.Minute, 1},
		{40_000, 21_000, 0.02, 120 * time.Second, time.Minute, 0.05}, {40_000, 21_000, 0.02, 120 * time.Second, time.Minute, 0.01},
		{0, 61_000, 0.01, 120 * time.Second, time.Minute, 1}, {3300, 1700, 0.02, 120 * time.Second, time.Minute, 1}, {660, 340, 0.02, 120 * time.Second, time.Minute, 1},
	} {
		var mass, named, dark []float64
		for seed := range uint64(15) {
			d := p.detect(seed, 6*time.Hour, 400)
			mass, named, dark = append(mass, d.mass), append(named, d.named), append(dark, d.dark)
		}
		m, mw := median(mass)
		n, nw := median(named)
		d, dw := median(dark)
		fmt.Printf("%d servers, %d laptops, %.1f %%/min, beat %v, %v fail: mass silence %.0f s (%.0f), named %.0f s (%.0f), dark %.2f %% (%.2f)\n",
			p.servers, p.laptops, p.share*100, p.beat, p.fails, m, mw, n, nw, d*100, dw*100)
	}
}

// TestCalibrateSum prints how soon the sum alone alarms in the servers' stratum,
// by its threshold.
func TestCalibrateSum(t *testing.T) {
	if years() == 0 {
		t.Skip("set EDRWATCH_CALIBRATE")
	}
	for _, agents := range []int{500, 5000, 40_000} {
		for kind, live := range [2]life{servers, laptops} {
			line := ""
			for _, h := range thresholds {
				var delays []float64
				for seed := range uint64(15) {
					delays = append(delays, sumDelay(seed, agents, kind == 1, live, h))
				}
				m, w := median(delays)
				line += fmt.Sprintf("  h %v: %.0f s (%.0f)", h, m, w)
			}
			fmt.Printf("%d agents, sleepers %v, 1 %%/min:%s\n", agents, kind == 1, line)
		}
	}
}

func sumDelay(seed uint64, agents int, sleeps bool, live life, threshold float64) float64 {
	rng := rand.New(rand.NewPCG(seed, 3))
	noise := &spread{rng: rng, dispersion: 2, wrong: 0.15}
	s := sequential.NewSilence(14*86400, false)
	if sleeps {
		s = sequential.NewSilence(2*3600, true)
	}
	s.CUSUM.Threshold = threshold
	p := push{servers: agents, share: 0.01, beat: 120 * time.Second, late: time.Minute, fails: 1}
	const steps = 600
	_, fell, _ := p.overdue(rng, steps)
	began := time.Date(2024, 7, 19, 4, 10, 0, 0, time.UTC)
	for n := -3 * 168 * 360; n < steps; n++ {
		at := began.Add(time.Duration(n+1) * 10 * time.Second)
		on, hourly := live(int(at.Unix()/3600+3*24) % 168)
		alive := on * float64(agents)
		silent := noise.count(n/360, alive*hourly/360)
		if n >= 0 {
			silent += float64(fell[0][n]) * on
		}
		if s.CUSUM.Step(silent, s.Expect(at.UnixNano(), alive, 10)) && n >= 0 {
			return at.Sub(began).Seconds()
		}
		if n < 0 {
			s.CUSUM.Sum = min(s.CUSUM.Sum, threshold/2)
		}
		s.Learn(at.UnixNano(), silent, alive, 10)
	}
	return 0
}
