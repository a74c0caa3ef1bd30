package fleetsync

import (
	"fmt"
	"unicode/utf8"

	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// message is what a record tells.
type message struct {
	gateway string
	step    *fleet.Step // nil: the gateway leaves
	at      int64       // of the record, nanoseconds since 1970
}

// leaving is the value of a gateway that leaves: no step begins so.
const leaving = "\x00"

// maxGatewayName bounds the key of a record.
const maxGatewayName = 128

// parse reads a record. The error is about the record.
func parse(key, value []byte, at int64) (message, error) {
	if len(key) == 0 || len(key) > maxGatewayName || !utf8.Valid(key) {
		return message{}, fault.New(fault.Permanent, fault.Undecodable, "expected the name of a gateway of 1 to %d bytes as the key of a step", maxGatewayName)
	}
	m := message{gateway: string(key), at: at}
	if string(value) == leaving {
		return m, nil
	}
	var err error
	if m.step, err = fleet.ParseStep(value); err != nil {
		return message{}, fault.New(fault.Permanent, fault.Undecodable, "step of gateway %q: %w", m.gateway, err)
	}
	return m, nil
}

// tell gives a message to a fleet.
func (m message) tell(f *fleet.Fleet) []fleet.Finding {
	if m.step == nil {
		return f.Depart(m.gateway)
	}
	return f.Hear(m.gateway, m.step, m.at)
}

// encode returns the value of a step. One that is larger than a topic usually
// takes goes without names of hosts, and then without the smallest sites: what
// is judged by them is lost, the rest is not.
func encode(step *fleet.Step) ([]byte, error) {
	value := fleet.AppendStep(nil, step)
	for _, sites := range []int{1 << 20, 20_000, 5_000} {
		if len(value) <= maxValue {
			return value, nil
		}
		step.Trim(sites)
		value = fleet.AppendStep(value[:0], step)
	}
	if len(value) > maxValue {
		return nil, fmt.Errorf("a step of %d bytes is larger than the %d that a topic takes", len(value), maxValue)
	}
	return value, nil
}

// maxValue leaves room for the record around it within Kafka's 1 MiB.
const maxValue = 900 << 10
