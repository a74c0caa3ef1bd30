package spec

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Rollup fold a storm of one rule's alerts into one incident: one document
// with a denominator that grows, while the alerts of single agents go on as
// information that names it as their parent.
type Rollup struct {
	By      []string      `yaml:"by"`      // What the agents have in common; empty: all together.
	Over    int           `yaml:"over"`    // Agents from which on it is one incident; or the two that follow.
	Percent *float64      `yaml:"percent"` // So many of the live agents of the group's product, OS and host type.
	Min     *int          `yaml:"min"`     // With percent: so many at least.
	Within  time.Duration `yaml:"within,required"`
}

// rollupNames are the fields that an incident can be about: what a session
// remembers of an agent.
func rollupNames() []string {
	return []string{"agent.type", "agent.version", "edr.content.version", "host.os.type", "host.type"}
}

func checkRollup(c *Checker, h *Header) {
	k := h.Rollup
	if k == nil {
		return
	}
	c.Positive("rollup.within", k.Within, false)
	switch {
	case k.Percent == nil && k.Min != nil:
		c.Problem("rollup.min", "min goes with percent", "write over for a number that does not depend on the size of the fleet")
	case k.Percent == nil && (k.Over < 2 || k.Over > 100_000):
		c.Problem("rollup.over", fmt.Sprintf("over is %d agents, expected 2 to 100000", k.Over), "or percent and min: a share of the live agents")
	case k.Percent == nil:
	case k.Over != 0:
		c.Problem("rollup.over", "percent and min say how many; over cannot as well", "")
	case !(*k.Percent > 0 && *k.Percent <= 100):
		c.Problem("rollup.percent", fmt.Sprintf("percent is %v, expected more than 0 and up to 100", *k.Percent), "")
	case k.Min == nil:
		c.Problem("rollup.percent", "percent needs min: how many agents make an incident where the fleet is small", "such as {percent: 0.2, min: 10, within: 30m}")
	case *k.Min < 2 || *k.Min > 1000:
		c.Problem("rollup.min", fmt.Sprintf("min is %d agents, expected 2 to 1000", *k.Min), "")
	}
	known := rollupNames()
	for _, name := range k.By {
		if !slices.Contains(known, name) {
			hint := "an incident can be by " + strings.Join(known, ", ")
			if near, ok := strict.Nearest(name, known); ok {
				hint = fmt.Sprintf("did you mean %q? %s", near, hint)
			}
			c.Problem("rollup.by", fmt.Sprintf("%q is nothing that agents can be rolled up by", name), hint)
		}
	}
	if h.GroupBy != nil && !slices.Contains(*h.GroupBy, "entity") {
		c.Problem("rollup", "rollup folds alerts about single agents, and group_by has no entity", "add entity to group_by, or count over many agents with type: value_count")
	}
}
