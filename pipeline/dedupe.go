package pipeline

import "time"

// dedupe remembers 64-bit hashes for at least a window of the shard's clock
// and at most two windows, in two generations that take turns. Its memory is
// bounded: a full generation is retired early, which shortens the window.
type dedupe struct {
	window   int64 // nanoseconds
	limit    int   // hashes in one generation
	young    map[uint64]struct{}
	old      map[uint64]struct{}
	youngest int64 // clock when young was started
}

func newDedupe(window time.Duration, limit int) *dedupe {
	return &dedupe{
		window: int64(window),
		limit:  max(limit/2, 1),
		young:  make(map[uint64]struct{}),
		old:    make(map[uint64]struct{}),
	}
}

// seen remembers hash and reports whether it was remembered before.
func (d *dedupe) seen(hash uint64, now int64) bool {
	if d.window <= 0 {
		return false
	}
	if now-d.youngest >= d.window || len(d.young) >= d.limit {
		d.young, d.old = d.old, d.young
		clear(d.young)
		if now-d.youngest >= 2*d.window {
			clear(d.old)
		}
		d.youngest = now
	}
	if _, ok := d.young[hash]; ok {
		return true
	}
	_, again := d.old[hash]
	d.young[hash] = struct{}{}
	return again
}
