package rules

import (
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// trace remembers the ids of the latest events that counted for a key, so that
// an alert can name what it was made of. It is one packed buffer, which stops
// growing soon: eight bytes of time, one of length, and the id. What has left
// at its front is overwritten when the room is needed.
type trace struct {
	buf  []byte
	sums [maxTraced]uint8 // Of the ids, in order: nearly all that differ are told apart by it.
	head uint16           // Where the ids begin in the buffer.
	n    uint8
}

// Bounds of a trace.
const (
	maxTraced   = 10
	maxTracedID = 128 // A longer id is not remembered.
)

// add remembers the id of an event.
func (t *trace) add(m *moment) {
	id := m.e.Str(ecs.EventID)
	if id == "" || len(id) > maxTracedID {
		return
	}
	sum := m.idSum()
	if t.holds(id, sum) {
		return // Delivered twice, or counted for two of its values.
	}
	if t.n == maxTraced {
		t.head += 9 + uint16(t.buf[t.head+8])
		copy(t.sums[:], t.sums[1:])
		t.n--
	}
	if size := len(t.buf) + 9 + len(id); size > cap(t.buf) && int(t.head) >= len(t.buf)/4 {
		t.buf = t.buf[:copy(t.buf, t.ids())]
		t.head = 0
	}
	t.buf = binary.BigEndian.AppendUint64(t.buf, uint64(m.at))
	t.buf = append(t.buf, byte(len(id)))
	t.buf = append(t.buf, id...)
	t.sums[t.n] = sum
	t.n++
}

// ids are the packed ids.
func (t *trace) ids() []byte { return t.buf[t.head:] }

// idSum is a sum of an id.
func idSum(id string) uint8 { return max(uint8(xxhash.Sum64String(id)), 1) }

// idSum is that of the event's id, which is computed once for all rules.
func (m *moment) idSum() uint8 {
	if m.sum == 0 {
		m.sum = idSum(m.e.Str(ecs.EventID))
	}
	return m.sum
}

func (t *trace) holds(id string, sum uint8) bool {
	if !slices.Contains(t.sums[:t.n], sum) {
		return false
	}
	for b := t.ids(); len(b) >= 9; b = b[9+int(b[8]):] {
		if string(b[9:9+int(b[8])]) == id {
			return true
		}
	}
	return false
}

// evidence lists the ids of events of a span of time, and of how many events
// they are some; a negative total says of how many at least.
func (t *trace) evidence(from, to, total int64) []pair {
	var list []byte
	for b := t.ids(); len(b) >= 9; {
		at, size := int64(binary.BigEndian.Uint64(b)), int(b[8])
		if at >= from && at <= to {
			if len(list) > 0 {
				list = append(list, ',')
			}
			list = event.AppendString(list, string(b[9:9+size]))
		}
		b = b[9+size:]
	}
	ids := pair{"event_ids", "[" + string(list) + "]"}
	if total < 0 {
		return []pair{ids, number("event_ids_at_least", -total)}
	}
	return []pair{ids, number("event_ids_total", total)}
}
