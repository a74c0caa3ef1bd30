package pipeline

import "time"

// dedupe remembers 64-bit hashes for at least a window of the shard's clock
// and at most two windows, in two generations that take turns. Its memory is
// bounded: a full generation is retired early, which shortens the window.
type dedupe struct {
	window     int64 // nanoseconds
	limit      int   // hashes in one generation
	young, old hashSet
	began      int64 // clock when young was started
}

func newDedupe(window time.Duration, limit int) *dedupe {
	return &dedupe{window: int64(window), limit: max(limit/2, 1)}
}

// seen remembers hash and reports whether it was remembered before.
func (d *dedupe) seen(hash uint64, now int64) bool {
	if d.window <= 0 {
		return false
	}
	if d.began == 0 {
		d.began = now // The first record of a raw file comes before its clock.
	}
	if now-d.began >= d.window || d.young.count >= d.limit {
		d.young, d.old = d.old, d.young
		d.young.clear()
		if now-d.began >= 2*d.window {
			d.old.clear()
		}
		d.began = now
	}
	return !d.young.add(hash) || d.old.has(hash)
}

// hashSet is an open-addressing set of hashes with linear probing. The hashes
// are spread already, so their low bits choose the slot; against a map it
// halves the cost of a look-up and never allocates once it has grown.
type hashSet struct {
	slots []uint64 // a power of two of them; 0 is free
	count int
}

// add puts a hash in and reports whether it is new.
func (s *hashSet) add(hash uint64) bool {
	hash = max(hash, 1)
	if 2*s.count >= len(s.slots) {
		s.grow()
	}
	for i := hash & uint64(len(s.slots)-1); ; i = (i + 1) & uint64(len(s.slots)-1) {
		switch s.slots[i] {
		case hash:
			return false
		case 0:
			s.slots[i] = hash
			s.count++
			return true
		}
	}
}

func (s *hashSet) has(hash uint64) bool {
	if s.count == 0 {
		return false
	}
	hash = max(hash, 1)
	for i := hash & uint64(len(s.slots)-1); ; i = (i + 1) & uint64(len(s.slots)-1) {
		switch s.slots[i] {
		case hash:
			return true
		case 0:
			return false
		}
	}
}

func (s *hashSet) grow() {
	full := s.slots
	s.slots = make([]uint64, max(2*len(full), 64))
	s.count = 0
	for _, hash := range full {
		if hash != 0 {
			s.add(hash)
		}
	}
}

func (s *hashSet) clear() {
	clear(s.slots)
	s.count = 0
}
