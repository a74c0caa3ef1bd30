package spec

import (
	"slices"
	"strings"
)

// AcrossTopics is the value of across by which the events of one agent are
// judged together that come in several topics.
const AcrossTopics = "topics"

// NamesOneAgent reports whether a name in group_by stands for one agent or host.
func NamesOneAgent(name string) bool {
	switch strings.TrimSuffix(name, "?") {
	case "entity", "agent.id", "host.name", "host.id", "host.hostname", "edr.entity.id":
		return true
	}
	return false
}

func checkAcross(c *Checker, h *Header) {
	if h.Across == "" {
		return
	}
	c.OneOf("across", h.Across, []string{AcrossTopics})
	if h.GroupBy != nil && !slices.Equal(*h.GroupBy, []string{"entity"}) {
		c.Problem("across", "across: topics is for events of one agent, and group_by names something else", "remove group_by: without it the key is the agent")
	}
	if h.Rollup != nil {
		c.Problem("across", "across: topics and rollup do not go together", "remove rollup")
	}
}
