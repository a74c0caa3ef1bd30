package fleet

import "time"

// Config says how the fleet is judged.
type Config struct {
	// Late is the allowance between the time at which an agent should have been
	// heard and the time from which on it counts as silent: the delay of the
	// feed, jitter and one slow request.
	Late time.Duration
	// Fresh is how old an event may be to be a sign of life now. Older ones are
	// a backlog, which shows nothing about the present.
	Fresh time.Duration
	// Settle is how long the fleet is watched before its silence is judged:
	// until then cadences and usual rates are not known.
	Settle time.Duration
	// Exposed is how long after an agent got a version its failures are held
	// against it.
	Exposed time.Duration
	// MaxRollouts bounds the versions that are compared at a time; the one that
	// reached an agent longest ago makes room.
	MaxRollouts int
	// RolloutsPerYear is how many versions are expected to come a year at
	// least, over which FalseAlarmsPerYear spreads; where more come, more.
	RolloutsPerYear, FalseAlarmsPerYear float64
}

// DefaultConfig returns the calibrated settings.
func DefaultConfig() Config {
	return Config{
		Late: time.Minute, Fresh: 10 * time.Minute, Settle: 10 * time.Minute, Exposed: 24 * time.Hour,
		MaxRollouts: 256, RolloutsPerYear: 3650, FalseAlarmsPerYear: 1,
	}
}

// withDefaults fills what is not set.
func (c Config) withDefaults() Config {
	d := DefaultConfig()
	for _, f := range []struct{ have, want *time.Duration }{{&c.Late, &d.Late}, {&c.Fresh, &d.Fresh}, {&c.Settle, &d.Settle}, {&c.Exposed, &d.Exposed}} {
		if *f.have <= 0 {
			*f.have = *f.want
		}
	}
	if c.MaxRollouts <= 0 {
		c.MaxRollouts = d.MaxRollouts
	}
	if c.RolloutsPerYear <= 0 {
		c.RolloutsPerYear = d.RolloutsPerYear
	}
	if c.FalseAlarmsPerYear <= 0 {
		c.FalseAlarmsPerYear = d.FalseAlarmsPerYear
	}
	return c
}

// StepLength is the time that one Step sums up, in nanoseconds.
const StepLength = int64(10 * time.Second)
