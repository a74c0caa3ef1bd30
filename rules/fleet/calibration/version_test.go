package calibration

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// canary is a version that a share of a fleet of servers has got. Hosts with
// and without it are looked at one after the other, by their shares; each
// crashes, or does not, once.
type canary struct {
	share      float64
	with, base float64 // probability that a host with it crashes, and one without
}

// hosts is how many hosts with the version had been looked at when the judge
// accused it; 0 where it did not after so many.
func (c *canary) hosts(seed uint64, most int) int {
	const all = 10_000
	rng := rand.New(rand.NewPCG(seed, 548))
	judge := fleet.NewJudge(fleet.DefaultConfig())
	version := fleet.Version{Product: "p", Kind: fleet.Content, Channel: "291", Version: "32"}
	at, last := time.Date(2024, 7, 19, 4, 10, 0, 0, time.UTC), 0
	others := 0.0
	for n := 1; n <= most; n++ {
		with, without := 0, 0
		if rng.Float64() < c.with {
			with++
		}
		for others += 1/c.share - 1; others >= 1; others-- {
			if rng.Float64() < c.base {
				without++
			}
		}
		if n > 1 && with+without == 0 {
			continue // Nothing is reported, and nothing is judged.
		}
		at = at.Add(time.Duration(n-last) * 10 * time.Second)
		last = n
		st := &fleet.StratumStep{Alive: all}
		arm := &fleet.ArmStep{Alive: int(all * c.share)}
		st.Failures[fleet.Crash], arm.Failures[fleet.Crash] = with+without, with
		any := len(st.Failures) - 1 // all ways to fail together
		st.Failures[any], arm.Failures[any] = with+without, with
		v := &fleet.VersionStep{Strata: map[fleet.Stratum]*fleet.ArmStep{kinds(0): arm}, Rings: map[string]int{}, Sites: map[string]int{}}
		if n == 1 {
			v.Exposed = arm.Alive
		}
		if with > 0 {
			arm.Casualties = []fleet.Casualty{{Host: fmt.Sprint("host-", n), Site: fmt.Sprint("site-", n%7), Class: fleet.Crash}}
		}
		step := &fleet.Step{
			At: at.UnixNano(), Strata: map[fleet.Stratum]*fleet.StratumStep{kinds(0): st}, Versions: map[fleet.Version]*fleet.VersionStep{version: v},
			Feeds: map[string]*fleet.FeedStep{"f": {Records: 1000, Beats: 1000, Due: 1000, Alive: all}},
		}
		found, _ := judge.Take(step)
		for _, f := range found {
			if f.Kind == "bad_rollout" {
				return n
			}
		}
	}
	return 0
}

// TestCalibrateCanary prints how many hosts of a canary the judge needs, and
// how often it accuses a version that harms nobody.
func TestCalibrateCanary(t *testing.T) {
	runs := 15
	if years() > 0 {
		runs = 1000
	}
	for _, tc := range []struct {
		canary
		most, median int
	}{
		{canary{0.1, 0.10, 0.002}, 2000, 65}, {canary{0.1, 0.02, 0.002}, 8000, 548}, {canary{0.01, 0.10, 0.002}, 2000, 0}, {canary{0.5, 0.10, 0.002}, 2000, 0},
	} {
		var list []float64
		for seed := range uint64(runs) {
			list = append(list, float64(tc.hosts(seed, tc.most)))
		}
		middle, worst := median(list)
		t.Logf("%.0f %% exposed, %.1f %% of them crash, of the others %.1f %%: accused after %.0f hosts in the median, %.0f at worst", tc.share*100, tc.with*100, tc.base*100, middle, worst)
		// Fifteen runs scatter around the median of a thousand.
		if tc.median > 0 && middle > 1.3*float64(tc.median) {
			t.Errorf("a median of %.0f hosts, expected %d", middle, tc.median)
		}
	}
	accused := 0
	for seed := range uint64(runs) {
		if (&canary{0.1, 0.002, 0.002}).hosts(seed+1e6, 10_000) > 0 {
			accused++
		}
	}
	t.Logf("%d of %d harmless versions are accused within 10,000 hosts", accused, runs)
	if accused > 0 {
		t.Errorf("%d of %d harmless versions are accused", accused, runs)
	}
}
