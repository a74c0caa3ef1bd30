package fleetsync

import (
	"errors"
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/kafkaconn"
)

// Config is the YAML of the exchange. It is off while Topic is empty: then the
// gateway takes the partitions that it owns for the whole fleet.
type Config struct {
	kafkaconn.Config `yaml:",inline"`

	// Topic of one partition, equal for all gateways of the fleet; empty switches the exchange off. It must exist; edrwatch
	// does not create topics.
	Topic string `yaml:"topic"`
	// Group is the consumer group whose member that owns the partition raises the alerts about the fleet.
	Group string `yaml:"group"`
	// Replay is how far back steps are read again when a gateway starts or takes over: what the judge then knows.
	Replay time.Duration `yaml:"replay"`
	// Idle is how long a gateway of which nothing comes is waited for.
	Idle time.Duration `yaml:"idle"`
}

// DefaultConfig returns an exchange that is off.
func DefaultConfig() Config {
	return Config{Config: kafkaconn.DefaultConfig(), Group: "edrwatch-fleet", Replay: 2 * time.Hour, Idle: 15 * time.Second}
}

// Enabled reports whether the gateway is one of several.
func (c *Config) Enabled() bool { return c.Topic != "" }

// Validate reports everything that is wrong with the configuration.
func (c *Config) Validate() error {
	if !c.Enabled() {
		return nil
	}
	errs := []error{c.Config.Validate()}
	if c.Group == "" {
		errs = append(errs, errors.New("group: expected the name of a consumer group, found nothing"))
	}
	if c.Replay < 10*time.Minute {
		errs = append(errs, fmt.Errorf("replay: expected at least 10m, which the judge needs to know what is usual, found %v", c.Replay))
	}
	if c.Idle < time.Second {
		errs = append(errs, fmt.Errorf("idle: expected at least 1s, found %v", c.Idle))
	}
	return errors.Join(errs...)
}
