package table

import (
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

// Persist writes or reads all keys in the order of their use, with their
// timers; key does the text of one, each the data.
func (k *Keyed[T]) Persist(c *snapshot.Codec, key func(*string), each func(e *Entry[T])) {
	n := c.Count(k.Held(), 3)
	snapshot.Int(c, &k.made)
	if !c.Reading() {
		for e := k.oldest; e != nil; e = e.newer {
			persistEntry(c, key, e)
			each(e)
		}
		return
	}
	for range n {
		e := &Entry[T]{}
		persistEntry(c, key, e)
		if each(e); c.Err() != nil {
			return
		}
		if k.index.find(e.Key) != nil {
			c.Fail("key %q occurs twice", e.Key)
			return
		}
		k.index.insert(e)
		k.link(e)
		k.markDirty(e)
		if e.pos = -1; e.Due != 0 {
			due := e.Due
			e.Due = 0
			k.Wake(e, due)
		}
	}
}

func persistEntry[T any](c *snapshot.Codec, key func(*string), e *Entry[T]) {
	key(&e.Key)
	snapshot.Int(c, &e.made)
	due := e.Due
	if !c.Reading() && e.pos < 0 {
		due = 0
	}
	if c.Time(&due); c.Reading() {
		e.Due = due
	}
}
