package table

import (
	"hash/maphash"
	"math"
	"strings"
	"unsafe"

	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// DistinctWindow are the values that a key has had, and when, in order of time. Of
// three appearances of a value within a window the one in the middle is left
// out: every window that holds it holds one of the others, and no window that
// is judged ends with it first.
//
// They are chained twice, by time and by value, in one slice whose free places
// are used again: a value that comes again is found by its hash, and moves
// without a look at the others.
type DistinctWindow struct {
	nodes  []Appearance // Places count from 1; 0 is none.
	values []seenValue
	table  []int32 // Of many values: places by hash, linear probing; nil: they are looked through.

	Oldest, newest      int32
	freeNode, freeValue int32 // Chained by newer, and by latest.
	n, Different        int32
}

// Appearance is a value at a time.
type Appearance struct {
	At             int64
	value          int32 // Place of the value.
	older, Newer   int32 // By time; of equal times the one that came first is older.
	earlier, later int32 // Of the same value.
}

// seenValue is a value that is remembered.
type seenValue struct {
	text   string
	hash   uint32
	latest int32 // Its latest Appearance; up to 0: the place is free.
}

// fewValues are looked through faster than a table is.
const fewValues = 8

// Node is the appearance at a place.
func (l *DistinctWindow) Node(place int32) *Appearance { return &l.nodes[place-1] }

func (l *DistinctWindow) value(place int32) *seenValue { return &l.values[place-1] }

// next is when the value was seen again; math.MaxInt64: not yet.
func (l *DistinctWindow) next(n *Appearance) int64 {
	if n.later == 0 {
		return math.MaxInt64
	}
	return l.Node(n.later).At
}

// See adds an appearance and returns its place; false when it makes no difference
// to any window that ends after settled.
func (l *DistinctWindow) See(seed maphash.Seed, at int64, text string, window, settled int64) (place int32, fresh bool) {
	hash := uint32(maphash.String(seed, text))
	value := l.find(hash, text)
	before, after := int32(0), int32(0)
	if value != 0 {
		for before = l.value(value).latest; before != 0 && l.Node(before).At > at; before = l.Node(before).earlier {
			after = before
		}
	}
	if before != 0 {
		b := l.Node(before)
		if b.At == at || after != 0 && l.Node(after).At-b.At <= window && b.At > settled {
			return 0, false
		}
		if b.earlier != 0 {
			if e := l.Node(b.earlier); at-e.At <= window && e.At > settled {
				l.remove(before)
			}
		}
	}
	if value == 0 {
		value = l.learn(hash, text)
	}
	return l.insert(at, value, after), true
}

// insert puts an appearance in its place; after is the next of the value, 0 for
// none.
func (l *DistinctWindow) insert(at int64, value, after int32) int32 {
	place := l.freeNode
	if place != 0 {
		l.freeNode = l.Node(place).Newer
	} else {
		l.nodes = append(l.nodes, Appearance{})
		place = int32(len(l.nodes))
	}
	older, newer := l.newest, int32(0)
	for older != 0 && l.Node(older).At > at {
		older, newer = l.Node(older).older, older
	}
	v := l.value(value)
	earlier := v.latest
	if after != 0 {
		earlier = l.Node(after).earlier
		l.Node(after).earlier = place
	} else {
		v.latest = place
	}
	*l.Node(place) = Appearance{At: at, value: value, older: older, Newer: newer, earlier: earlier, later: after}
	if earlier != 0 {
		l.Node(earlier).later = place
	}
	l.join(older, place)
	l.join(place, newer)
	l.n++
	return place
}

// join makes two appearances neighbors in time; 0 is the end.
func (l *DistinctWindow) join(older, newer int32) {
	if older != 0 {
		l.Node(older).Newer = newer
	} else {
		l.Oldest = newer
	}
	if newer != 0 {
		l.Node(newer).older = older
	} else {
		l.newest = older
	}
}

// remove forgets an appearance, and its value with the last.
func (l *DistinctWindow) remove(place int32) {
	n := *l.Node(place)
	l.join(n.older, n.Newer)
	if n.earlier != 0 {
		l.Node(n.earlier).later = n.later
	}
	if n.later != 0 {
		l.Node(n.later).earlier = n.earlier
	} else if l.value(n.value).latest = n.earlier; n.earlier == 0 {
		l.forget(n.value)
	}
	l.Node(place).Newer = l.freeNode
	l.freeNode = place
	l.n--
}

// Prune forgets appearances up to a time, and the oldest beyond a number.
func (l *DistinctWindow) Prune(limit int64, room int) {
	for l.Oldest != 0 && (int(l.n) > room || l.Node(l.Oldest).At <= limit) {
		l.remove(l.Oldest)
	}
}

// Latest returns the time from which on a number of different values were seen
// in (end - window, end]; 0 if there were not as many.
func (l *DistinctWindow) Latest(number, end, window int64) int64 {
	if int64(l.Different) < number {
		return 0
	}
	for place := l.newest; place != 0; {
		n := l.Node(place)
		if n.At <= end-window {
			break
		}
		if n.At <= end && l.next(n) > end {
			if number--; number == 0 {
				return n.At
			}
		}
		place = n.older
	}
	return 0
}

// Within counts the values seen in (end - window, end].
func (l *DistinctWindow) Within(end, window int64) (count int64) {
	for place := l.newest; place != 0; {
		n := l.Node(place)
		if n.At <= end-window {
			break
		}
		if n.At <= end && l.next(n) > end {
			count++
		}
		place = n.older
	}
	return count
}

// Sample lists some of the values of a span, the latest first.
func (l *DistinctWindow) Sample(from, to int64) string {
	var list []string
	for place := l.newest; place != 0; place = l.Node(place).older {
		if n := l.Node(place); n.At >= from && n.At <= to && l.next(n) > to && len(list) < wording.MaxListed {
			list = append(list, l.value(n.value).text)
		}
	}
	return wording.JSONList(list)
}

// find returns the place of a value; 0 when it is not known.
func (l *DistinctWindow) find(hash uint32, text string) int32 {
	if l.table == nil {
		for i := range l.values {
			if v := &l.values[i]; v.latest > 0 && v.hash == hash && v.text == text {
				return int32(i + 1)
			}
		}
		return 0
	}
	mask := uint32(len(l.table) - 1)
	for at := hash & mask; l.table[at] != 0; at = (at + 1) & mask {
		if v := l.value(l.table[at]); v.hash == hash && v.text == text {
			return l.table[at]
		}
	}
	return 0
}

// learn remembers a value; the text is copied.
func (l *DistinctWindow) learn(hash uint32, text string) int32 {
	place := l.freeValue
	if place != 0 {
		l.freeValue = -l.value(place).latest
	} else {
		l.values = append(l.values, seenValue{})
		place = int32(len(l.values))
	}
	*l.value(place) = seenValue{text: strings.Clone(text), hash: hash}
	l.Different++
	switch {
	case l.table == nil && l.Different > fewValues || l.table != nil && int(l.Different)*4 > len(l.table)*3:
		l.table = make([]int32, max(2*len(l.table), 4*fewValues))
		for i := range l.values {
			if v := &l.values[i]; v.latest > 0 || int32(i+1) == place {
				l.enter(int32(i + 1))
			}
		}
	case l.table != nil:
		l.enter(place)
	}
	return place
}

func (l *DistinctWindow) enter(place int32) {
	mask := uint32(len(l.table) - 1)
	at := l.value(place).hash & mask
	for l.table[at] != 0 {
		at = (at + 1) & mask
	}
	l.table[at] = place
}

// forget gives the place of a value free.
func (l *DistinctWindow) forget(place int32) {
	if l.table != nil {
		mask := uint32(len(l.table) - 1)
		hole := l.value(place).hash & mask
		for l.table[hole] != place {
			hole = (hole + 1) & mask
		}
		for at := (hole + 1) & mask; l.table[at] != 0; at = (at + 1) & mask {
			if home := l.value(l.table[at]).hash & mask; (at-home)&mask >= (at-hole)&mask {
				l.table[hole], hole = l.table[at], at
			}
		}
		l.table[hole] = 0
	}
	*l.value(place) = seenValue{latest: -l.freeValue}
	l.freeValue = place
	l.Different--
}

// Persist writes or reads the appearances in order of time. When a value was seen
// again follows from the others; it is written for who looks at a snapshot.
func (l *DistinctWindow) Persist(c *snapshot.Codec, seed maphash.Seed) {
	n, before := c.Count(int(l.n), 3), int64(math.MinInt64)
	if !c.Reading() {
		for place := l.Oldest; place != 0; place = l.Node(place).Newer {
			n := l.Node(place)
			again := l.next(n)
			c.Time(&n.At)
			c.Time(&again)
			c.Shared(&l.value(n.value).text)
		}
		return
	}
	for range n {
		var at, again int64
		var text string
		c.Time(&at)
		c.Time(&again)
		if c.Shared(&text); at < before {
			c.Fail("values are not in order of time")
		}
		if c.Err() != nil {
			return
		}
		hash := uint32(maphash.String(seed, text))
		value := l.find(hash, text)
		if value == 0 {
			value = l.learn(hash, text)
		}
		l.insert(at, value, 0)
		before = at
	}
}

// Weight is the bytes that it refers to.
func (l *DistinctWindow) Weight() int {
	n := Grown(int(l.n), int(unsafe.Sizeof(Appearance{}))) + Grown(int(l.Different), int(unsafe.Sizeof(seenValue{})))
	if l.Different > fewValues {
		n += 8 * int(l.Different) // Their table.
	}
	if l.newest != 0 {
		n += int(l.Different) * Allocated(len(l.value(l.Node(l.newest).value).text))
	}
	return n
}
