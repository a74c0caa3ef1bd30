package rules

import "github.com/edrwatch/edrwatch/rules/internal/snapshot"

// persist writes or reads all keys in the order of their use, with their
// timers; key does the text of one, each the data.
func (k *keyed[T]) persist(c *snapshot.Codec, key func(*string), each func(e *entry[T])) {
	n := c.Count(k.held(), 3)
	snapshot.Int(c, &k.made)
	if !c.Reading() {
		for e := k.oldest; e != nil; e = e.newer {
			persistEntry(c, key, e)
			each(e)
		}
		return
	}
	for range n {
		e := &entry[T]{}
		persistEntry(c, key, e)
		if each(e); c.Err() != nil {
			return
		}
		if k.index.find(e.key) != nil {
			c.Fail("the key %q stands there twice", e.key)
			return
		}
		k.index.insert(e)
		k.link(e)
		k.soil(e)
		if e.pos = -1; e.due != 0 {
			due := e.due
			e.due = 0
			k.wake(e, due)
		}
	}
}

func persistEntry[T any](c *snapshot.Codec, key func(*string), e *entry[T]) {
	key(&e.key)
	snapshot.Int(c, &e.made)
	due := e.due
	if !c.Reading() && e.pos < 0 {
		due = 0
	}
	if c.Time(&due); c.Reading() {
		e.due = due
	}
}
