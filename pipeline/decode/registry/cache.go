package registry

import (
	"container/list"
	"sync"
	"time"
)

// cache keeps values by schema id, at most so many: the one that was not used for
// longest goes first. It is safe for concurrent use.
type cache[T any] struct {
	max int
	mu  sync.Mutex
	// The elements hold entries, the last used first.
	used *list.List
	byID map[int32]*list.Element
}

type entry[T any] struct {
	id    int32
	value T
	until time.Time // zero: for ever
}

func newCache[T any](limit int) *cache[T] {
	return &cache[T]{max: limit, used: list.New(), byID: map[int32]*list.Element{}}
}

func (c *cache[T]) get(id int32, now func() time.Time) (value T, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byID[id]
	if !ok {
		return value, false
	}
	kept := e.Value.(*entry[T])
	if !kept.until.IsZero() && !now().Before(kept.until) {
		c.used.Remove(e)
		delete(c.byID, id)
		return value, false
	}
	c.used.MoveToFront(e)
	return kept.value, true
}

func (c *cache[T]) put(id int32, value T, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byID[id]; ok {
		e.Value = &entry[T]{id, value, until}
		c.used.MoveToFront(e)
		return
	}
	if c.used.Len() >= c.max {
		oldest := c.used.Back()
		delete(c.byID, oldest.Value.(*entry[T]).id)
		c.used.Remove(oldest)
	}
	c.byID[id] = c.used.PushFront(&entry[T]{id, value, until})
}
