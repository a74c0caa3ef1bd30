package decode

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

const (
	// maxLayers is how often something is taken off a value.
	maxLayers = 2
	// maxDecoded bounds what one layer becomes, in bytes: mappings read no more
	// (mappings/internal/scan), and it is what a bomb can cost.
	maxDecoded = 8 << 20
	// keptRoom is the size up to which a buffer is kept for the next record: one
	// exceptional record must not hold its memory for ever in every partition.
	keptRoom = 1 << 20
)

// decoder recognises one encoding and takes it off. It belongs to one goroutine.
type decoder interface {
	// first lists the bytes that a value of this encoding begins with.
	first() []byte
	// detect reports whether a value that begins with one of first is of this
	// encoding.
	detect(value []byte) bool
	// append appends what the value holds to dst, at most maxDecoded bytes. A
	// permanent *fault.Error is about the value; any other error says that it
	// cannot be decoded now.
	append(ctx context.Context, dst, value []byte) ([]byte, error)
}

type counters struct{ decoded, failed, waited prometheus.Counter }

// Chain decodes the records of one partition. It implements pipeline.Decoder and
// belongs to one goroutine; it allocates nothing for a value that is not encoded.
type Chain struct {
	decoders []decoder
	names    []string
	counts   []counters
	asked    [256]bool // by the first byte of a value: some decoder looks at it
	rooms    [maxLayers][]byte
	record   event.Record
}

func (c *Chain) add(d decoder, n counters) {
	c.decoders, c.counts = append(c.decoders, d), append(c.counts, n)
	for _, b := range d.first() {
		c.asked[b] = true
	}
}

// Decode implements pipeline.Decoder.
func (c *Chain) Decode(ctx context.Context, r *event.Record) (*event.Record, error) {
	if len(r.Value) == 0 || !c.asked[r.Value[0]] || r.Fault != nil {
		return r, nil
	}
	return c.decode(ctx, r)
}

func (c *Chain) decode(ctx context.Context, r *event.Record) (*event.Record, error) {
	value := r.Value
	for layer := 0; ; layer++ {
		i := c.recognise(value)
		switch {
		case i < 0 && layer == 0:
			return r, nil
		case i < 0:
			c.record = *r
			c.record.Value, c.record.Raw = value, r.Value
			return &c.record, nil
		case layer == maxLayers:
			c.counts[i].failed.Inc()
			return c.faulty(r, fault.New(fault.Permanent, fault.Undecodable, "decoding %s: the value is encoded more than %d times", c.names[i], maxLayers)), nil
		}
		out, err := c.decoders[i].append(ctx, c.room(layer), value)
		c.rooms[layer] = out
		if err == nil {
			c.counts[i].decoded.Inc()
			value = out
			continue
		}
		if fault.Of(err).Class != fault.Permanent {
			c.counts[i].waited.Inc()
			return nil, err
		}
		c.counts[i].failed.Inc()
		return c.faulty(r, err), nil
	}
}

// recognise returns the index of the decoder of a value, or -1.
func (c *Chain) recognise(value []byte) int {
	if len(value) == 0 || !c.asked[value[0]] {
		return -1
	}
	for i, d := range c.decoders {
		if d.detect(value) {
			return i
		}
	}
	return -1
}

// faulty returns the record as one that cannot be used.
func (c *Chain) faulty(r *event.Record, err error) *event.Record {
	c.record = *r
	c.record.Raw, c.record.Fault = r.Value, err
	return &c.record
}

// room returns the empty buffer of a layer.
func (c *Chain) room(layer int) []byte {
	if cap(c.rooms[layer]) > keptRoom {
		c.rooms[layer] = nil
	}
	return c.rooms[layer][:0]
}

// tooLarge condemns a value that becomes more than a mapping reads.
func tooLarge(name string) error {
	return fault.New(fault.Permanent, fault.TooLarge, "decoding %s: the value becomes more than %d MiB", name, maxDecoded>>20)
}

// undecodable condemns a value that is not what it begins like.
func undecodable(name string, err error) error {
	return fault.New(fault.Permanent, fault.Undecodable, "decoding %s: %w", name, err)
}
