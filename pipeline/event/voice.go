package event

import "github.com/edrwatch/edrwatch/pipeline/ecs"

// Voice tells who speaks in a record about an agent. Only an agent's own voice
// is life: an inventory goes on naming agents that are dead.
type Voice uint8

// The voices.
const (
	VoiceUnknown Voice = iota // no mapping says whose the record is
	VoiceAgent                // the agent itself, whatever relays it
	VoiceHost                 // its host about it: system log, service manager, metrics of a shipper
	VoiceServer               // a console, inventory or API about it; may say when it was heard last
)

// Voice returns whose voice the event is, as its mapping file says and
// edr.provenance.voice tells. It does not allocate.
func (e *Event) Voice() Voice {
	switch e.Str(ecs.EDRProvenanceVoice) {
	case "agent":
		return VoiceAgent
	case "host":
		return VoiceHost
	case "server":
		return VoiceServer
	}
	return VoiceUnknown
}
