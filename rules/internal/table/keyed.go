package table

import (
	"container/heap"
	"iter"
)

// Keyed holds the state of a rule by key: found by key, forgotten when unused
// for longest while there are too many, and woken by timers.
type Keyed[T any] struct {
	index   keyIndex[T]
	Limit   int
	Evicted uint64
	OnEvict func(*Entry[T]) // nil: nothing to do.

	// Of a rule's table: tells of a key that is forgotten.
	onForget func(*Entry[T], Reason)

	newest, oldest *Entry[T] // By last use.
	timers         timerHeap[T]
	made           uint64

	// Of a rule's table: what it weighs, see weight.go.
	account  *Account // nil: nobody asks.
	weigh    func(*T) int
	fixed    int
	bytes    int64
	relieved uint64    // Keys forgotten because the bytes of all rules reached their limit.
	dirty    *Entry[T] // Used since it was weighed.
	queued   bool
}

// Entry is the state of one key.
type Entry[T any] struct {
	Key  string
	Data T

	made         uint64 // Order of creation; decides between equal timers.
	newer, older *Entry[T]
	Due          int64
	pos          int   // In the heap; -1 without a timer.
	size         int32 // Bytes when it was weighed.
}

// New returns a table of so many keys at most, whose weight nobody asks for.
func New[T any](limit int) *Keyed[T] {
	return &Keyed[T]{Limit: limit}
}

// Get returns the entry of a key and marks it as used; nil if there is none.
func (k *Keyed[T]) Get(at Key) *Entry[T] {
	e := k.index.find(at.Text)
	if e != nil {
		k.touch(e)
	}
	return e
}

// Peek returns the entry of a key, which stays as it was used; nil if there is
// none.
func (k *Keyed[T]) Peek(text string) *Entry[T] { return k.index.find(text) }

// All are the entries, the one that was not used for longest first. The loop
// must add and remove none.
func (k *Keyed[T]) All() iter.Seq[*Entry[T]] {
	return func(yield func(*Entry[T]) bool) {
		for e := k.oldest; e != nil; e = e.newer {
			if !yield(e) {
				return
			}
		}
	}
}

// Timed reports whether the entry has a timer.
func (e *Entry[T]) Timed() bool { return e.pos >= 0 }

// Held is the number of keys.
func (k *Keyed[T]) Held() int { return k.index.n }

// Obtain returns the entry of a key and makes it if need be. The key is copied
// unless it lasts.
func (k *Keyed[T]) Obtain(at Key) (e *Entry[T], created bool) {
	if e := k.Get(at); e != nil {
		return e, false
	}
	for k.index.n >= k.Limit && k.oldest != nil { // More than one too many come out of a snapshot.
		k.evictOldest()
	}
	k.made++
	e = &Entry[T]{Key: at.Own(), made: k.made, pos: -1}
	k.index.insert(e)
	k.link(e)
	k.markDirty(e)
	return e, true
}

// evictOldest forgets the entry that was not used for longest.
func (k *Keyed[T]) evictOldest() {
	k.Evicted++
	k.forgetOldest(TooMany)
}

func (k *Keyed[T]) forgetOldest(why Reason) {
	victim := k.oldest
	if k.onForget != nil {
		k.onForget(victim, why)
	}
	if k.OnEvict != nil {
		k.OnEvict(victim)
	}
	k.Remove(victim)
}

// Remove forgets an entry, with its timer.
func (k *Keyed[T]) Remove(e *Entry[T]) {
	k.Wake(e, 0)
	k.index.remove(e)
	k.unlink(e)
	k.clearWeight(e)
}

func (k *Keyed[T]) touch(e *Entry[T]) {
	k.markDirty(e)
	if k.newest != e {
		k.unlink(e)
		k.link(e)
	}
}

func (k *Keyed[T]) link(e *Entry[T]) {
	e.older, e.newer = k.newest, nil
	if k.newest != nil {
		k.newest.newer = e
	}
	k.newest = e
	if k.oldest == nil {
		k.oldest = e
	}
}

func (k *Keyed[T]) unlink(e *Entry[T]) {
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

// Wake sets the entry's timer; 0 removes it.
func (k *Keyed[T]) Wake(e *Entry[T], due int64) {
	k.markDirty(e)
	switch {
	case due == 0 && e.pos < 0:
		return
	case due == 0:
		heap.Remove(&k.timers, e.pos)
		e.pos = -1
	case e.pos < 0:
		e.Due = due
		heap.Push(&k.timers, e)
	case e.Due != due:
		e.Due = due
		heap.Fix(&k.timers, e.pos)
	}
}

// Next returns the entry whose timer is due first; nil without timers.
func (k *Keyed[T]) Next() *Entry[T] {
	if len(k.timers) == 0 {
		return nil
	}
	return k.timers[0]
}

// timerHeap orders entries by due time and, where equal, by age.
type timerHeap[T any] []*Entry[T]

func (h timerHeap[T]) Len() int { return len(h) }

func (h timerHeap[T]) Less(i, j int) bool {
	if h[i].Due != h[j].Due {
		return h[i].Due < h[j].Due
	}
	return h[i].made < h[j].made
}

func (h timerHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

func (h *timerHeap[T]) Push(x any) {
	e := x.(*Entry[T])
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
