package mappings

import (
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// voice compiles whose voice a record is: a word, or a value that gives one.
func (c *compiler) voice(n strict.Node) step {
	if n.Kind() == strict.Mapping || n.Kind() == strict.List {
		if step := c.value(ecs.EDRProvenanceVoice, n); step != nil {
			return step
		}
		return &set{ecs.EDRProvenanceVoice, event.Constant("unknown")} // A problem is noted.
	}
	return &set{ecs.EDRProvenanceVoice, c.constant(n, ecs.EDRProvenanceVoice)}
}

// needsVoice refuses a file that makes events without saying whose voice they
// are: taken for the agent's own it would keep the dead alive, taken for
// another's it would never miss anybody.
func (c *compiler) needsVoice(spec *fileSpec) {
	if spec.Block.Voice.IsZero() && spec.Split.Value == "" {
		c.problem(spec.node, "voice: agent for what the agent itself says, host for its host's logs and metrics, server for consoles, inventories and APIs",
			"the file does not say whose voice its records are")
	}
}
