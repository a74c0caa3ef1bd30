package rules

import (
	"container/heap"
	"iter"
)

// keyed holds the state of a rule by key: found by key, forgotten when unused
// for longest while there are too many, and woken by timers.
type keyed[T any] struct {
	index   keyIndex[T]
	max     int
	evicted uint64
	onEvict func(*entry[T]) // nil: nothing to do.

	// Of a rule's table: tells of a key that is forgotten.
	onForget func(*entry[T], shortageReason)

	newest, oldest *entry[T] // By last use.
	timers         timerHeap[T]
	made           uint64

	// Of a rule's table: what it weighs, see weight.go.
	account  *account // nil: nobody asks.
	weigh    func(*T) int
	fixed    int
	bytes    int64
	relieved uint64    // Keys forgotten for want of bytes.
	dirty    *entry[T] // Used since it was weighed.
	queued   bool
}

// entry is the state of one key.
type entry[T any] struct {
	key  string
	data T

	made         uint64 // Order of creation; decides between equal timers.
	newer, older *entry[T]
	due          int64
	pos          int   // In the heap; -1 without a timer.
	size         int32 // Bytes when it was weighed.
}

func newKeyed[T any](limit int) *keyed[T] {
	return &keyed[T]{max: limit}
}

// get returns the entry of a key and marks it as used; nil if there is none.
func (k *keyed[T]) get(at key) *entry[T] {
	e := k.index.find(at.text)
	if e != nil {
		k.touch(e)
	}
	return e
}

// peek returns the entry of a key, which stays as it was used; nil if there is
// none.
func (k *keyed[T]) peek(text string) *entry[T] { return k.index.find(text) }

// all are the entries, the one that was not used for longest first. The loop
// must add and remove none.
func (k *keyed[T]) all() iter.Seq[*entry[T]] {
	return func(yield func(*entry[T]) bool) {
		for e := k.oldest; e != nil; e = e.newer {
			if !yield(e) {
				return
			}
		}
	}
}

// timed reports whether the entry has a timer.
func (e *entry[T]) timed() bool { return e.pos >= 0 }

// held is the number of keys.
func (k *keyed[T]) held() int { return k.index.n }

// obtain returns the entry of a key and makes it if need be. The key is copied
// unless it lasts.
func (k *keyed[T]) obtain(at key) (e *entry[T], created bool) {
	if e := k.get(at); e != nil {
		return e, false
	}
	for k.index.n >= k.max && k.oldest != nil { // More than one too many come out of a snapshot.
		k.evict()
	}
	k.made++
	e = &entry[T]{key: at.own(), made: k.made, pos: -1}
	k.index.insert(e)
	k.link(e)
	k.soil(e)
	return e, true
}

// evict forgets the entry that was not used for longest.
func (k *keyed[T]) evict() {
	k.evicted++
	k.forget(tooMany)
}

func (k *keyed[T]) forget(why shortageReason) {
	victim := k.oldest
	if k.onForget != nil {
		k.onForget(victim, why)
	}
	if k.onEvict != nil {
		k.onEvict(victim)
	}
	k.remove(victim)
}

func (k *keyed[T]) remove(e *entry[T]) {
	k.wake(e, 0)
	k.index.remove(e)
	k.unlink(e)
	k.lift(e)
}

func (k *keyed[T]) touch(e *entry[T]) {
	k.soil(e)
	if k.newest != e {
		k.unlink(e)
		k.link(e)
	}
}

func (k *keyed[T]) link(e *entry[T]) {
	e.older, e.newer = k.newest, nil
	if k.newest != nil {
		k.newest.newer = e
	}
	k.newest = e
	if k.oldest == nil {
		k.oldest = e
	}
}

func (k *keyed[T]) unlink(e *entry[T]) {
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		k.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		k.oldest = e.newer
	}
}

// wake sets the entry's timer; 0 removes it.
func (k *keyed[T]) wake(e *entry[T], due int64) {
	k.soil(e)
	switch {
	case due == 0 && e.pos < 0:
		return
	case due == 0:
		heap.Remove(&k.timers, e.pos)
		e.pos = -1
	case e.pos < 0:
		e.due = due
		heap.Push(&k.timers, e)
	case e.due != due:
		e.due = due
		heap.Fix(&k.timers, e.pos)
	}
}

// next returns the entry whose timer is due first; nil without timers.
func (k *keyed[T]) next() *entry[T] {
	if len(k.timers) == 0 {
		return nil
	}
	return k.timers[0]
}

// timerHeap orders entries by due time and, where equal, by age.
type timerHeap[T any] []*entry[T]

func (h timerHeap[T]) Len() int { return len(h) }
func (h timerHeap[T]) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return h[i].made < h[j].made
}

func (h timerHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

func (h *timerHeap[T]) Push(x any) {
	e := x.(*entry[T])
	e.pos = len(*h)
	*h = append(*h, e)
}

func (h *timerHeap[T]) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
