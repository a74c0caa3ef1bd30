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

// unknownVoice is the first step of a file that does not say whose voice its
// records are, as files of users may that are older than the key.
func unknownVoice(spec *fileSpec) []guarded {
	if !spec.Block.Voice.IsZero() || spec.Split.Value != "" {
		return nil
	}
	return []guarded{guard(&set{ecs.EDRProvenanceVoice, event.Constant("unknown")})}
}
