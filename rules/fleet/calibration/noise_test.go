package calibration

import (
	"math"
	"math/rand/v2"
)

// life is how many agents of a stratum are on, and how often one of them falls
// silent in an hour, by the hour of the week.
type life func(hourOfWeek int) (on, hourly float64)

func officeHour(hourOfWeek int) (hour int, weekday bool) { return hourOfWeek % 24, hourOfWeek/24 < 5 }

// servers fall silent once in two weeks, and five times as often while they
// are patched in the night to Wednesday.
func servers(hourOfWeek int) (on, hourly float64) {
	if hourOfWeek == 2*24+2 || hourOfWeek == 2*24+3 {
		return 1, 5. / (14 * 24)
	}
	return 1, 1. / (14 * 24)
}

// laptops sleep now and then by day, and all in the evening.
func laptops(hourOfWeek int) (on, hourly float64) {
	switch hour, weekday := officeHour(hourOfWeek); {
	case !weekday:
		return 0.08, 0.5
	case hour < 7 || hour >= 20:
		return 0.12, 0.3
	case hour >= 16 && hour < 19:
		return 0.6, 1.5
	}
	return 0.85, 0.4
}

// spread is a law of counts that are more scattered than Poisson's: agents
// fall silent in groups, of geometric size, so that variance over mean is the
// dispersion; and every hour all of it is wrong by a factor whose logarithm has
// a standard deviation.
type spread struct {
	rng        *rand.Rand
	dispersion float64
	wrong      float64
	factor     float64
	hour       int
}

func (s *spread) count(hour int, mean float64) float64 {
	if hour != s.hour || s.factor == 0 {
		s.hour, s.factor = hour, math.Exp(s.wrong*s.rng.NormFloat64()-s.wrong*s.wrong/2)
	}
	group := (s.dispersion + 1) / 2
	total := 0
	for range s.poisson(mean * s.factor / group) {
		total++
		for s.rng.Float64() > 1/group {
			total++
		}
	}
	return float64(total)
}

func (s *spread) poisson(mean float64) int {
	if mean > 50 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*s.rng.NormFloat64())))
	}
	n := 0
	for p := s.rng.Float64(); p > math.Exp(-mean); p *= s.rng.Float64() {
		n++
	}
	return n
}
