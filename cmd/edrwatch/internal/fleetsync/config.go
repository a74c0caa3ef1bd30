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
	// MaxHold is for how long partitions that no gateway reports on hold up the steps of the fleet: the composition root's to set.
	MaxHold time.Duration `yaml:"-"`
}

// DefaultConfig returns an exchange that is off.
func DefaultConfig() Config {
	return Config{Config: kafkaconn.DefaultConfig(), Group: "edrwatch-fleet", Replay: 2 * time.Hour, MaxHold: 2 * time.Minute}
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
	return errors.Join(errs...)
}
