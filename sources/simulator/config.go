package simulator

import (
	"errors"
	"fmt"
	"time"
)

// MaxAgents bounds the memory that a configuration can ask for.
const MaxAgents = 5_000_000

// Config says which fleet to simulate.
type Config struct {
	Seed     uint64        // same seed, same records
	Agents   int           // enrolled agents, asleep ones included; 0: the scenario's, or DefaultAgents
	Start    time.Time     // virtual time of the first record; zero: the scenario's
	Duration time.Duration // virtual time that is simulated; 0: the scenario's
	Scenario Scenario
}

// DefaultAgents is the size of a fleet of which nobody says the size.
const DefaultAgents = 1000

// withDefaults takes what is not set from the scenario.
func (c Config) withDefaults() Config {
	if c.Start.IsZero() {
		c.Start = c.Scenario.Start
	}
	if c.Duration == 0 {
		c.Duration = c.Scenario.Duration
	}
	if c.Agents == 0 {
		if c.Agents = c.Scenario.Agents; c.Agents == 0 {
			c.Agents = DefaultAgents
		}
	}
	return c
}

// Validate names everything that New would refuse about c.
func (c Config) Validate() error {
	c = c.withDefaults()
	var problems []error
	if c.Agents < 1 || c.Agents > MaxAgents {
		problems = append(problems, fmt.Errorf("agents: expected 1 to %d, found %d", MaxAgents, c.Agents))
	}
	switch year := c.Start.Year(); {
	case c.Start.IsZero():
		problems = append(problems, errors.New("start: neither the configuration nor the scenario gives a time"))
	case year < 1970 || year > 9000:
		problems = append(problems, fmt.Errorf("start: expected a year between 1970 and 9000, found %d", year))
	}
	if c.Duration <= 0 {
		problems = append(problems, fmt.Errorf("duration: expected more than 0, found %s", c.Duration))
	}
	return errors.Join(append(problems, c.Scenario.validate()...)...)
}
