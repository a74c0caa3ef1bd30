package state

import (
	"errors"
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/kafkaconn"
)

// Config is the YAML of the state topic. It is off while Topic is empty: then
// state is rebuilt by reading records again.
type Config struct {
	kafkaconn.Config `yaml:",inline"`

	// Topic, with cleanup.policy=compact, is where the state of partitions is kept; empty switches it off. It must exist;
	// edrwatch does not create topics.
	Topic string `yaml:"topic"`
	// Interval is the time between two snapshots of a partition at least.
	Interval time.Duration `yaml:"interval"`
}

// DefaultConfig returns a configuration that keeps nothing.
func DefaultConfig() Config {
	return Config{Config: kafkaconn.DefaultConfig(), Interval: 30 * time.Second}
}

// Enabled reports whether state is kept.
func (c *Config) Enabled() bool { return c.Topic != "" }

// Validate reports everything that is wrong with the configuration.
func (c *Config) Validate() error {
	if !c.Enabled() {
		return nil
	}
	errs := []error{c.Config.Validate()}
	if c.Interval < time.Second {
		errs = append(errs, fmt.Errorf("interval: expected at least 1s, found %v", c.Interval))
	}
	return errors.Join(errs...)
}
