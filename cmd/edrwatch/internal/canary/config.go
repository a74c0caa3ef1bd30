package canary

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Config is the YAML of the canaries. They are off unless enabled: they need
// the permission to write to the feeds.
type Config struct {
	// Enabled plays an agent in every feed and proves with it that silence would be noticed. It takes the permission to write to
	// the feeds.
	Enabled bool `yaml:"enabled"`
	// Feeds are the topics that get a canary; all that Kafka sources read when it is empty.
	Feeds []string `yaml:"feeds"`
	// Heartbeat is the time between two beats of a canary.
	Heartbeat time.Duration `yaml:"heartbeat"`
	// Deadline is how long a beat may take through the feed, the mapping and the rules; then the gateway is deaf.
	Deadline time.Duration `yaml:"deadline"`
	// Every is the time from one proof to the next: the canary falls silent until a rule notices.
	Every time.Duration `yaml:"every"`
	// NoticedWithin is how long a rule about silence may take to notice; then the gateway is mute. It has to be longer than
	// such rules wait (after) for an agent with these heartbeats.
	NoticedWithin time.Duration `yaml:"noticed_within"`
}

// DefaultConfig returns canaries that are off.
func DefaultConfig() Config {
	return Config{Heartbeat: time.Minute, Deadline: 5 * time.Minute, Every: time.Hour, NoticedWithin: 45 * time.Minute}
}

// Validate reports everything that is wrong with the configuration.
func (c *Config) Validate() error {
	var errs []error
	if c.Heartbeat < 100*time.Millisecond || c.Heartbeat > 10*time.Minute {
		errs = append(errs, fmt.Errorf("heartbeat: expected 100ms to 10m, found %s", c.Heartbeat))
	}
	if c.Deadline < 2*c.Heartbeat {
		errs = append(errs, fmt.Errorf("deadline: expected at least two heartbeats (%s), found %s", 2*c.Heartbeat, c.Deadline))
	}
	if c.NoticedWithin < 2*c.Heartbeat {
		errs = append(errs, fmt.Errorf("noticed_within: expected at least two heartbeats (%s), found %s", 2*c.Heartbeat, c.NoticedWithin))
	}
	if c.Every < learnBeats*c.Heartbeat {
		errs = append(errs, fmt.Errorf("every: expected at least %d heartbeats (%s), from which rules learn how often the canary beats, found %s",
			learnBeats, learnBeats*c.Heartbeat, c.Every))
	}
	if slices.Contains(c.Feeds, "") {
		errs = append(errs, errors.New("feeds: expected names of topics, found an empty one"))
	}
	return errors.Join(errs...)
}

// plays reports whether a topic gets a canary.
func (c *Config) plays(topic string) bool {
	return len(c.Feeds) == 0 || slices.Contains(c.Feeds, topic)
}
