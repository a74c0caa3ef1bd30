package kinds

import (
	"encoding/binary"
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/table"
)

// trace remembers the ids of the latest events that counted for a key, so that
// an alert can name what it was made of. It is one packed buffer, which stops
// growing soon: eight bytes of time, one of length, and the id. What has left
// at its front is overwritten when the room is needed.
type trace struct {
	buf  []byte
	sums [maxTraced]uint8 // Of the ids, in order: nearly all ids that differ have different sums.
	head uint16           // Where the ids begin in the buffer.
	n    uint8
}

// Bounds of a trace.
const (
	maxTraced   = 10
	maxTracedID = 128 // A longer id is not remembered.
)

// add remembers the id of an event.
func (t *trace) add(m *engine.Evaluation) {
	id := m.Event.Str(ecs.EventID)
	if id == "" || len(id) > maxTracedID {
		return
	}
	sum := m.IDSum()
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
	t.buf = binary.BigEndian.AppendUint64(t.buf, uint64(m.At))
	t.buf = append(t.buf, byte(len(id)))
	t.buf = append(t.buf, id...)
	t.sums[t.n] = sum
	t.n++
}

// ids are the packed ids.
func (t *trace) ids() []byte { return t.buf[t.head:] }

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
func (t *trace) evidence(from, to, total int64) []engine.Evidence {
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
	ids := engine.Evidence{Name: "event_ids", JSON: "[" + string(list) + "]"}
	if total < 0 {
		return []engine.Evidence{ids, engine.Number("event_ids_at_least", -total)}
	}
	return []engine.Evidence{ids, engine.Number("event_ids_total", total)}
}

func (t *trace) Weight() int { return table.Grown(len(t.ids()), 1) }

func (t *trace) persist(a *engine.Archive) {
	ids, n := t.ids(), t.n
	a.Bytes(&ids)
	snapshot.Int(a.Codec, &n)
	if !a.Reading() {
		return
	}
	*t = trace{buf: ids}
	for b := ids; len(b) > 0; t.n++ {
		if len(b) < 10 || b[8] == 0 || len(b) < 9+int(b[8]) || t.n == maxTraced {
			a.Fail("the ids of events end early, or are more than %d", maxTraced)
			return
		}
		t.sums[t.n] = engine.IDSumOf(string(b[9 : 9+int(b[8])]))
		b = b[9+int(b[8]):]
	}
	if n != t.n {
		a.Fail("expected %d ids of events, found %d", n, t.n)
	}
}
