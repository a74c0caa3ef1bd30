package kinds

import (
	"math"

	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/table"
)

// episodes end the alerts of a table's keys, and forget keys, by one timer a
// key. They are of the kinds whose alerts last while a window holds enough.
type episodes[T any, K alerting[T]] struct {
	rs    *engine.RuleSession
	table *table.Keyed[T]
	// ends is when the alert of a key ends by itself, or, without one, when the
	// key is of no use any more. It only moves away while an alert fires.
	ends func(k *T) int64
	// resolved writes the document that ends the alert of a key.
	resolved func(e *table.Entry[T], at int64)
	// unheardFor puts the end off while nothing at all came from the agent in the
	// latter half of so long a time (no_data: keep); 0 does not.
	unheardFor int64
}

// alerting is the state of a key that has an alert about somebody.
type alerting[T any] interface {
	*T
	episode() *engine.Episode
	about() *subjects
}

// Next is when the first timer is due.
func (t *episodes[T, K]) Next() int64 {
	if e := t.table.Next(); e != nil {
		return e.Due
	}
	return math.MaxInt64
}

// schedule sets the timer to the end of the alert or of the key. A timer that
// runs out earlier is left: Fire finds that it is not time yet.
func (t *episodes[T, K]) schedule(e *table.Entry[T]) {
	due := max(t.ends(&e.Data), t.rs.Now()+1)
	if !e.Timed() || due < e.Due {
		t.table.Wake(e, due)
		t.rs.WakeAt(due)
	}
}

// Fire ends an alert or forgets a key.
func (t *episodes[T, K]) Fire(due int64) {
	e := t.table.Next()
	k := K(&e.Data)
	if at := t.ends(&e.Data); at > due {
		t.table.Wake(e, at)
		t.rs.WakeAt(at)
		return
	}
	if !k.episode().Firing() {
		t.table.Remove(e)
		return
	}
	if t.unheardFor > 0 && t.rs.Unheard(k.about().agent, due, t.unheardFor) {
		t.table.Wake(e, due+t.unheardFor) // Who is silent has not recovered.
		t.rs.WakeAt(e.Due)
		return
	}
	t.table.Wake(e, 0)
	k.episode().Resolve()
	t.resolved(e, due)
	k.about().hosts = nil
	t.schedule(e)
}
