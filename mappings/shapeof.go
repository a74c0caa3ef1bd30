package mappings

import (
	"slices"
	"strconv"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Bounds of the text of a shape, so that it can be the label of a metric.
const (
	shapeKeys  = 64 // keys that are looked at
	shapeBytes = 96
)

// shapeOf describes a record that no mapping takes by its keys in alphabetical
// order, as many as have room, and the number of the others:
// "_raw,host,time,+3".
func (m *Mapper) shapeOf(self int) string {
	nodes := m.tape.Nodes
	keys := m.shape[:0]
	count := 0
	for i := self + 1; i < int(nodes[self].Next); i = int(nodes[i].Next) {
		if count++; len(keys) < shapeKeys {
			keys = append(keys, event.View(m.tape.Key(&nodes[i])))
		}
	}
	m.shape = keys
	slices.Sort(keys)
	out := m.event.Scratch(shapeBytes + 24)
	for i, key := range keys {
		if len(out)+len(key) > shapeBytes {
			count -= i
			break
		}
		if i > 0 {
			out = append(out, ',')
		}
		for _, c := range []byte(key) {
			if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == ',' {
				c = '?' // Whoever writes the record does not write our log.
			}
			out = append(out, c)
		}
		if i == len(keys)-1 {
			count -= len(keys)
		}
	}
	if count > 0 {
		if len(out) > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(append(out, '+'), int64(count), 10)
	}
	return event.View(out)
}
