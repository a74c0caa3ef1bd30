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
	By     []string      `yaml:"by"`            // What the agents have in common; empty: all together.
	Over   int           `yaml:"over,required"` // Agents from which on it is one incident.
	Within time.Duration `yaml:"within,required"`
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
	if k.Over < 2 || k.Over > 100_000 {
		c.Problem("rollup.over", fmt.Sprintf("over is %d agents, expected 2 to 100000", k.Over), "")
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
