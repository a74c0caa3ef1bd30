package pipeline

import "time"

// maxJump is how far one record without a broker's timestamp may move the
// clock by itself. A larger step is believed only when the next record, too,
// lies beyond it: a single wrong clock must not close everybody's windows.
const maxJump = int64(24 * time.Hour)

// clock is the time of a shard, in nanoseconds since 1970: the highest time
// that its records have shown. It never moves back.
type clock struct {
	now     int64
	suspect int64 // a time far ahead, seen once; 0 for none
}

// broker moves the clock to a timestamp that the broker or a capture gave.
func (c *clock) broker(ms int64) {
	c.now = max(c.now, ms*int64(time.Millisecond))
}

// source moves the clock to a timestamp that the event's own source gave, for
// input without broker's timestamps. It reports whether the time was doubted.
func (c *clock) source(ns int64) (doubted bool) {
	if c.now == 0 || ns-c.now <= maxJump {
		c.suspect = 0
		c.now = max(c.now, ns)
		return false
	}
	if c.suspect == 0 {
		c.suspect = ns
		return true
	}
	c.now = min(c.suspect, ns)
	c.suspect = 0
	return false
}
