package fleetsync

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/fleet/identity"
)

// kind is what a message says.
type kind byte

const (
	// leaves: the gateway stops. Its partitions are waited for until their next
	// owner reports on them.
	leaves kind = iota
	// owns: the gateway has got partitions, and will report on them.
	owns
	// tells: what the agents of partitions did in a step, or that these have ended
	// it without any.
	tells
	// skips: steps are closed without partitions that have held the others for too
	// long.
	skips
	// learns: names that the partitions of the gateway learned in a step.
	learns
	kinds
)

// message is what a record says.
type message struct {
	gateway    string
	kind       kind
	end        int64    // of the step, of tells and learns
	partitions []string // of owns and skips
	told       []fleet.Contribution
	links      *identity.Links // of learns
}

// Bounds of a record, which a hostile one could exceed.
const (
	maxGatewayName   = 128
	maxPartitionName = 1 << 10
	maxPartitions    = 1 << 16
)

// parse reads a record. The error is about the record.
func parse(key, value []byte) (message, error) {
	if len(key) == 0 || len(key) > maxGatewayName || !utf8.Valid(key) {
		return message{}, fault.New(fault.Permanent, fault.Undecodable, "expected the name of a gateway of 1 to %d bytes as the key of a step", maxGatewayName)
	}
	r := reader{b: value, size: len(value)}
	m := message{gateway: string(key), kind: kind(r.number("a kind of message", uint64(kinds)-1))}
	if m.kind == tells || m.kind == learns {
		m.end = int64(r.number("the end of a step", 1<<62))
	}
	switch m.kind {
	case leaves:
	case learns:
		m.links = r.links()
	default:
		for range r.number("a number of partitions", maxPartitions) {
			name := string(r.bytes("the name of a partition", maxPartitionName))
			if m.kind != tells {
				m.partitions = append(m.partitions, name)
				continue
			}
			m.told = append(m.told, r.contribution(name))
		}
	}
	if r.err == nil && len(r.b) > 0 {
		r.fail("the end")
	}
	if r.err != nil {
		return message{}, fault.New(fault.Permanent, fault.Undecodable, "message of gateway %q: %w", m.gateway, r.err)
	}
	return m, nil
}

// reader reads; after the first error it returns zeros.
type reader struct {
	b    []byte
	size int
	err  error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("expected %s at byte %d of %d", what, r.size-len(r.b), r.size)
	}
	r.b = nil
}

func (r *reader) number(what string, most uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > most {
		r.fail(what)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(what string, most uint64) []byte {
	n := r.number("the length of "+what, min(most, uint64(len(r.b))))
	if n > uint64(len(r.b)) {
		r.fail(what)
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) links() *identity.Links {
	b := r.bytes("names", maxValue)
	if r.err != nil {
		return nil
	}
	l, err := identity.Read(b)
	if err != nil {
		r.err = err
	}
	return l
}

func (r *reader) contribution(partition string) fleet.Contribution {
	c := fleet.Contribution{Partition: partition, Rebuilt: r.number("whether records were judged before", 1) == 1}
	step := r.bytes("a step", maxValue)
	if len(step) == 0 || r.err != nil {
		return c
	}
	parsed, err := fleet.ParseStep(step)
	if err != nil {
		r.err = fmt.Errorf("partition %q: %w", partition, err)
	}
	c.Step = parsed
	return c
}

// tell gives a message to a fleet.
func (m message) tell(f *fleet.Fleet) []fleet.Finding {
	switch m.kind {
	case owns:
		f.Expect(m.partitions)
	case tells:
		return f.Hear(m.end, m.told)
	case skips:
		return f.Skip(m.partitions)
	case learns:
		f.HearNames(m.end, m.links)
	}
	return nil
}

// names returns the value of a message about partitions.
func names(k kind, partitions []string) []byte {
	value := binary.AppendUvarint([]byte{byte(k)}, uint64(len(partitions)))
	for _, name := range partitions {
		value = appendBytes(value, name)
	}
	return value
}

func appendBytes[T ~string | ~[]byte](to []byte, b T) []byte {
	return append(binary.AppendUvarint(to, uint64(len(b))), b...)
}

// encode returns the values of the messages that tell what partitions did up to
// the end of a step: as few as a topic takes.
func encode(end int64, told []fleet.Contribution) ([][]byte, error) {
	var values [][]byte
	var body []byte
	n := 0
	flush := func() {
		value := binary.AppendUvarint([]byte{byte(tells)}, uint64(end))
		values = append(values, append(binary.AppendUvarint(value, uint64(n)), body...))
		body, n = nil, 0
	}
	for i, c := range told {
		one, err := appendContribution(nil, c)
		if err != nil {
			return nil, err
		}
		// What a partition did in several steps must not be torn apart: its end is
		// that of the message.
		if together := i > 0 && told[i-1].Partition == c.Partition; n > 0 && len(body)+len(one) > maxValue && !together {
			flush()
		}
		body = append(body, one...)
		n++
	}
	flush()
	return values, nil
}

// encodeLinks returns the values of the messages about names; of those that are
// larger than a topic takes there is none, and lost says how many.
func encodeLinks(end int64, batches []*identity.Links) (values [][]byte, lost int) {
	for _, l := range batches {
		value := binary.AppendUvarint([]byte{byte(learns)}, uint64(end))
		if value = appendBytes(value, l.AppendTo(nil)); len(value) > maxValue {
			lost++
			continue
		}
		values = append(values, value)
	}
	return values, lost
}

// appendContribution appends what a partition did. A step that is larger than a
// topic usually takes goes with fewer matches of rules about the whole fleet, which is counted, then without names of hosts, and then without the smallest
// sites: what is judged by them is lost, the rest is not.
func appendContribution(to []byte, c fleet.Contribution) ([]byte, error) {
	to = appendBytes(to, c.Partition)
	rebuilt := byte(0)
	if c.Rebuilt {
		rebuilt = 1
	}
	to = append(to, rebuilt)
	if c.Step == nil {
		return append(to, 0), nil
	}
	step := fleet.AppendStep(nil, c.Step)
	for most := fleet.MaxMatches / 2; len(step) > maxStep && most >= 128; most /= 2 {
		c.Step.TrimMatches(most)
		step = fleet.AppendStep(step[:0], c.Step)
	}
	for _, sites := range []int{1 << 20, 20_000, 5_000} {
		if len(step) <= maxStep {
			break
		}
		c.Step.Trim(sites)
		step = fleet.AppendStep(step[:0], c.Step)
	}
	if len(step) > maxStep {
		return nil, fmt.Errorf("a step of %d bytes is larger than the %d that a topic takes", len(step), maxStep)
	}
	return appendBytes(to, step), nil
}

// maxValue leaves room for the record around it within Kafka's 1 MiB, maxStep
// for the name of its partition as well.
const (
	maxValue = 900 << 10
	maxStep  = maxValue - 2*maxPartitionName
)
