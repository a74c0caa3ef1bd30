package pipeline

import (
	"errors"
	"fmt"
	"time"
)

// Config is what an operator sets of the pipeline.
type Config struct {
	// DedupeWindow: see [ShardConfig].
	DedupeWindow time.Duration `yaml:"dedupe_window"`
	// DedupeLimit bounds the vendor record ids remembered per partition.
	DedupeLimit int `yaml:"dedupe_limit"`
	// Lateness is how far an event may lie behind the clock of its partition
	// and still count in the rules' windows.
	Lateness time.Duration `yaml:"lateness"`
	// MaxFuture and MaxAge bound an event's time against the broker's.
	MaxFuture time.Duration `yaml:"max_future"`
	MaxAge    time.Duration `yaml:"max_age"`
	// Retry is the pause between attempts at a sink.
	Retry Backoff `yaml:"retry"`
	// OptionalPatience is how long a sink that is not required is tried before
	// its documents go to the dead letter.
	OptionalPatience time.Duration `yaml:"optional_patience"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	s := DefaultShardConfig()
	return Config{
		DedupeWindow:     s.DedupeWindow,
		DedupeLimit:      s.DedupeLimit,
		Lateness:         s.Lateness,
		MaxFuture:        s.MaxFuture,
		MaxAge:           s.MaxAge,
		Retry:            Backoff{Min: 250 * time.Millisecond, Max: 30 * time.Second},
		OptionalPatience: 30 * time.Second,
	}
}

// Shard returns the part of the configuration that concerns one shard.
func (c Config) Shard() ShardConfig {
	return ShardConfig{
		DedupeWindow: c.DedupeWindow,
		DedupeLimit:  c.DedupeLimit,
		Lateness:     c.Lateness,
		MaxFuture:    c.MaxFuture,
		MaxAge:       c.MaxAge,
	}
}

// Validate reports every setting that makes no sense.
func (c *Config) Validate() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"dedupe_window", c.DedupeWindow, 0},
		{"lateness", c.Lateness, 0},
		{"max_future", c.MaxFuture, time.Second},
		{"max_age", c.MaxAge, time.Minute},
		{"retry.min", c.Retry.Min, time.Millisecond},
		{"retry.max", c.Retry.Max, c.Retry.Min},
		{"optional_patience", c.OptionalPatience, 0},
	} {
		if d.value < d.least {
			errs = append(errs, fmt.Errorf("%s: expected at least %s, found %s", d.name, d.least, d.value))
		}
	}
	if c.DedupeLimit < 0 {
		errs = append(errs, fmt.Errorf("dedupe_limit: expected 0 or more, found %d", c.DedupeLimit))
	}
	return errors.Join(errs...)
}
