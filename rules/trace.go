package rules

import (
	"encoding/binary"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// trace remembers the ids of the latest events that counted for a key, so that
// an alert can name what it was made of. It is one packed buffer, which stops
// growing soon: eight bytes of time, one of length, and the id.
type trace struct {
	buf []byte
	n   uint8
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
	if t.holds(id) {
		return // Delivered twice, or counted for two of its values.
	}
	if t.n == maxTraced {
		first := 9 + int(t.buf[8])
		t.buf = t.buf[:copy(t.buf, t.buf[first:])]
		t.n--
	}
	t.buf = binary.BigEndian.AppendUint64(t.buf, uint64(m.at))
	t.buf = append(t.buf, byte(len(id)))
	t.buf = append(t.buf, id...)
	t.n++
}

func (t *trace) holds(id string) bool {
	for b := t.buf; len(b) >= 9; b = b[9+int(b[8]):] {
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
	for b := t.buf; len(b) >= 9; {
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
