package pipeline

import "time"

// A step of more than maxJump by a source's own timestamp is believed only
// when so many records in a row lie beyond it: a host whose clock is wrong
// must not close everybody's windows, while a file may well have a gap of days.
const (
	maxJump   = int64(24 * time.Hour)
	believeAt = 10
)

// clock is the time of a shard, in nanoseconds since 1970: the highest time
// that its records have shown. It never moves back.
type clock struct {
	now     int64
	beyond  int   // records in a row that lie more than maxJump ahead
	nearest int64 // the least of their times
}

// broker moves the clock to a timestamp that the broker or a capture gave.
func (c *clock) broker(ms int64) {
	c.now = max(c.now, ms*int64(time.Millisecond))
}

// source moves the clock to a timestamp that the event's own source gave, for
// input without broker's timestamps. It reports whether the time was doubted.
func (c *clock) source(ns int64) (doubted bool) {
	if c.now == 0 || ns-c.now <= maxJump {
		c.beyond = 0
		c.now = max(c.now, ns)
		return false
	}
	if c.beyond == 0 || ns < c.nearest {
		c.nearest = ns
	}
	if c.beyond++; c.beyond < believeAt {
		return true
	}
	c.beyond = 0
	c.now = c.nearest
	return false
}
