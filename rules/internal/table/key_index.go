package table

import (
	"hash/maphash"
	"strings"
)

// Key is what an entry is found by.
type Key struct {
	Text    string
	Lasting bool // The text stays what it is, so that no copy has to be kept.
}

// Own is the text, to keep.
func (k Key) Own() string {
	if k.Lasting {
		return k.Text
	}
	return strings.Clone(k.Text)
}

// keyIndex finds entries by their keys: an open table with linear probing. With
// many keys memory is what an event costs, and a map of strings looks at a
// group of control bytes, at a slot and at the key's bytes. Here it is the slot,
// which holds the whole hash, and the entry; keys that are an agent's share
// their bytes with the agent, so that comparing them ends at the pointer.
type keyIndex[T any] struct {
	seed  maphash.Seed
	slots []keySlot[T] // A power of two, at most three quarters in use.
	n     int
}

type keySlot[T any] struct {
	hash uint64
	e    *Entry[T] // nil: free.
}

// find returns the entry of a key; nil without one.
func (x *keyIndex[T]) find(text string) *Entry[T] {
	if x.n == 0 {
		return nil
	}
	hash := maphash.String(x.seed, text)
	mask := uint64(len(x.slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		s := &x.slots[at]
		if s.e == nil {
			return nil
		}
		if s.hash == hash && s.e.Key == text {
			return s.e
		}
	}
}

// insert adds an entry whose key is not there.
func (x *keyIndex[T]) insert(e *Entry[T]) {
	if x.slots == nil {
		x.seed = maphash.MakeSeed()
	}
	if 4*(x.n+1) > 3*len(x.slots) {
		old := x.slots
		x.slots = make([]keySlot[T], max(2*len(old), 8))
		for _, s := range old {
			if s.e != nil {
				x.place(s)
			}
		}
	}
	x.n++
	x.place(keySlot[T]{maphash.String(x.seed, e.Key), e})
}

func (x *keyIndex[T]) place(s keySlot[T]) {
	mask := uint64(len(x.slots) - 1)
	at := s.hash & mask
	for x.slots[at].e != nil {
		at = (at + 1) & mask
	}
	x.slots[at] = s
}

// remove takes an entry out that is there, and moves those up that stand behind
// it because of it.
func (x *keyIndex[T]) remove(e *Entry[T]) {
	mask := uint64(len(x.slots) - 1)
	hole := maphash.String(x.seed, e.Key) & mask
	for x.slots[hole].e != e {
		hole = (hole + 1) & mask
	}
	x.n--
	for at := hole; ; {
		at = (at + 1) & mask
		s := x.slots[at]
		if s.e == nil {
			break
		}
		// What would be found from its own place on may go into the hole.
		if home := s.hash & mask; (at-home)&mask >= (at-hole)&mask {
			x.slots[hole] = s
			hole = at
		}
	}
	x.slots[hole] = keySlot[T]{}
}
