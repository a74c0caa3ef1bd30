package rules

import (
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// memoryTrend is the shipped rule about memory that grows.
func memoryTrend(t *testing.T) *Ruleset {
	t.Helper()
	src, err := fs.ReadFile(Library(), "agent/memory_trend.yml")
	if err != nil {
		t.Fatal(err)
	}
	files, err := Parse(fstest.MapFS{"memory_trend.yml": {Data: src}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := files.Compile(dictionary(t))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// series are readings of an agent's memory every few minutes.
type series struct {
	level float64 // Bytes at first.
	wave  float64 // Amplitude of a daily wave, as a share.
	noise float64 // Standard deviation, as a share.
	leak  float64 // Bytes an hour from start on.
	start time.Duration
	lost  float64 // Share of the readings that never come.
	dark  [2]time.Duration
	every time.Duration
	until time.Duration
}

// play sends the readings of an agent and returns when its first alert was
// raised; 0 for none.
func (s *series) play(t *testing.T, set *Ruleset, seed uint64) (first time.Duration) {
	t.Helper()
	f := newFeed(t, set, SessionOptions{})
	defer func() {
		f.s.Close()
		if c := set.Counters()[0]; c.Matches == 0 || c.Late > 0 {
			t.Errorf("the readings did not reach the rule: %+v", c)
		}
	}()
	r := rand.New(rand.NewPCG(seed, 9))
	phase := r.Float64() * 2 * math.Pi
	for at := time.Duration(0); at < s.until; at += s.every {
		v := s.level * (1 + s.wave*math.Sin(phase+2*math.Pi*at.Hours()/24) + s.noise*r.NormFloat64())
		v += s.leak * max(0, (at-s.start).Hours())
		if r.Float64() < s.lost || at >= s.dark[0] && at < s.dark[1] {
			f.advance(at)
			continue
		}
		f.send(at, "event.action", "resource-usage", "agent.id", "a", "agent.type", "x", "edr.resource.memory_bytes", int(max(v, 1)))
		if first == 0 && len(f.alerts) > 0 {
			first = at
		}
	}
	return first
}

// TestTrendFindsLeaks expects an alert within eight hours of a leak of 60 MB an
// hour: with noise and gaps, on a wave, in an agent that is new or has run for
// days.
func TestTrendFindsLeaks(t *testing.T) {
	set := memoryTrend(t)
	const leak = 60e6
	for name, s := range map[string]series{
		"a new agent":                {level: 300e6, leak: leak},
		"after two days":             {level: 500e6, leak: leak, start: 48 * time.Hour},
		"noise of 5 %":               {level: 800e6, noise: 0.05, leak: leak, start: 20 * time.Hour},
		"a daily wave of 6 %":        {level: 800e6, wave: 0.06, noise: 0.01, leak: leak, start: 31 * time.Hour},
		"a third of readings lost":   {level: 500e6, noise: 0.03, lost: 1.0 / 3, leak: leak, start: 20 * time.Hour},
		"a reading every 15 minutes": {level: 500e6, noise: 0.02, leak: leak, start: 20 * time.Hour, every: 15 * time.Minute},
		"dark for an hour":           {level: 500e6, noise: 0.02, leak: leak, start: 20 * time.Hour, dark: [2]time.Duration{22 * time.Hour, 23 * time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			if s.every == 0 {
				s.every = 5 * time.Minute
			}
			s.until = s.start + 10*time.Hour
			worst := time.Duration(0)
			for seed := range uint64(12) {
				first := s.play(t, set, seed)
				if first == 0 || first < s.start || first-s.start > 8*time.Hour {
					t.Fatalf("seed %d: the alert came at %s, the leak began at %s", seed, first, s.start)
				}
				worst = max(worst, first-s.start)
			}
			t.Logf("found within %s", worst)
		})
	}
}

// TestTrendIgnoresWaves expects no alert about a daily wave of 6 %, of agents
// small and large, with noise and gaps, nor about one step to another level.
func TestTrendIgnoresWaves(t *testing.T) {
	set := memoryTrend(t)
	for _, level := range []float64{100e6, 500e6, 2e9, 8e9} {
		for name, s := range map[string]series{
			"a wave":             {},
			"noise":              {noise: 0.02},
			"noise and gaps":     {noise: 0.02, lost: 0.4},
			"dark half a day":    {noise: 0.02, dark: [2]time.Duration{30 * time.Hour, 42 * time.Hour}},
			"a reading a minute": {noise: 0.02, every: time.Minute},
		} {
			t.Run(fmt.Sprintf("%s of %.0f MB", name, level/1e6), func(t *testing.T) {
				s.level, s.wave, s.until = level, 0.06, 3*24*time.Hour
				if s.every == 0 {
					s.every = 5 * time.Minute
				}
				for seed := range uint64(4) {
					if first := s.play(t, set, seed); first != 0 {
						t.Fatalf("seed %d: an alert at %s", seed, first)
					}
				}
			})
		}
	}
}

// TestTrendDoesNotDependOnArrival sends the readings of an hour in any order
// and some of them twice, and expects the same alerts as in order.
func TestTrendDoesNotDependOnArrival(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "trend", "condition: has(edr.resource.memory_bytes)\nfield: edr.resource.memory_bytes\nwindow: 4h\nmin_span: 1h\nhaving: {gt: 10}"))
	run := func(seed uint64) []string {
		f := newFeed(t, set, SessionOptions{Lateness: 2 * time.Hour})
		r := rand.New(rand.NewPCG(seed, 1))
		for hour := range 12 {
			order := make([]int, 60)
			for i := range order {
				order[i] = i
			}
			if seed > 0 {
				r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
				order = append(order, order[:20]...)
			}
			arrival := time.Duration(hour+1) * time.Hour
			for _, m := range order {
				at := time.Duration(hour)*time.Hour + time.Duration(m)*time.Minute
				f.late(arrival, at, "agent.id", "a", "edr.resource.memory_bytes", 1000+int(at.Minutes())+m*7919%60)
			}
		}
		f.advance(30 * time.Hour)
		return f.bodies
	}
	want := run(0)
	if len(want) != 2 {
		t.Fatalf("%d documents, expected an alert and its end: %v", len(want), want)
	}
	for seed := range uint64(5) {
		if got := run(seed + 1); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("seed %d: got\n%s\nwant\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
