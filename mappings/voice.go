package mappings

import (
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// voice compiles whose voice a record is: a word, or a value that gives one.
func (c *compiler) voice(n strict.Node) step {
	if n.Kind() != strict.Mapping {
		return &set{ecs.EDRProvenanceVoice, c.constant(n, ecs.EDRProvenanceVoice)}
	}
	from := c.move(ecs.EDRProvenanceVoice, n)
	if from == nil {
		return &set{ecs.EDRProvenanceVoice, event.Constant("unknown")}
	}
	from.keep = true // The word does not tell the raw value.
	return from
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
