package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// Response is what a rule wants done about its alerts, by those responders of
// the gateway's configuration that it names; by all without a name.
type Response struct {
	Action      string            `yaml:"action,required"`
	To          []string          `yaml:"to"`
	On          []string          `yaml:"on"` // Statuses of alerts; firing.
	MinSeverity string            `yaml:"min_severity"`
	Parameters  map[string]string `yaml:"parameters"`
}

func checkResponses(c *Checker, list []Response) {
	for i, r := range list {
		c.OneOf("respond", r.Action, ecs.ResponseActions())
		for _, status := range r.On {
			c.OneOf("respond", status, []string{"firing", "resolved"})
		}
		if r.MinSeverity != "" {
			c.OneOf("respond", r.MinSeverity, ecs.Severities())
		}
		if r.Action == "move_to_ring" && r.Parameters["ring"] == "" {
			c.Problem("respond", "move_to_ring needs the name of the ring", "add parameters: {ring: …}")
		}
		for _, to := range r.To {
			if strings.TrimSpace(to) == "" {
				c.Problem("respond", "the name of a responder is empty", "leave to out for all responders")
			}
		}
		if slices.ContainsFunc(list[:i], func(o Response) bool { return o.Action == r.Action && slices.Equal(o.To, r.To) }) {
			c.Problem("respond", fmt.Sprintf("%s is asked of the same responders twice", r.Action), "one entry with both statuses in on asks for both")
		}
	}
}
