package table

import (
	"slices"

	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

// Queue is a list that gains mostly at its end and loses at its front, such as
// the events of a window. What is lost at the front leaves room that is taken
// up when the end has none, so that an event costs the same however many the
// window holds, and in the steady state nothing is allocated.
type Queue[T any] struct {
	buf  []T
	head int // What stands before is lost.
}

// List is what the queue holds, valid until it changes.
func (q *Queue[T]) List() []T { return q.buf[q.head:] }

// Len is how many there are.
func (q *Queue[T]) Len() int { return len(q.buf) - q.head }

// Insert puts v at a place of the list.
func (q *Queue[T]) Insert(place int, v T) {
	// The front is given back when an eighth of the room is there: rarely
	// enough for moving the rest to cost little.
	if len(q.buf) == cap(q.buf) && q.head > 0 && q.head >= len(q.buf)/8 {
		n := copy(q.buf, q.buf[q.head:])
		clear(q.buf[n:])
		q.buf, q.head = q.buf[:n], 0
	}
	if place == q.Len() {
		q.buf = append(q.buf, v)
		return
	}
	q.buf = slices.Insert(q.buf, q.head+place, v)
}

// Drop loses the first n.
func (q *Queue[T]) Drop(n int) {
	clear(q.buf[q.head : q.head+n])
	if q.head += n; q.head == len(q.buf) {
		q.buf, q.head = q.buf[:0], 0
	}
}

// Persist writes or reads what the queue holds.
func (q *Queue[T]) Persist(c *snapshot.Codec, each func(*T)) {
	list := q.List()
	if snapshot.List(c, &list, each); c.Reading() {
		*q = Queue[T]{buf: list}
	}
}
