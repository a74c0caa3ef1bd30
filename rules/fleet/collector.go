package fleet

import "time"

// collector merges the steps of its members, the shards of a gateway or the
// gateways of a fleet, into steps of all of them. It waits for the slowest
// member, because partitions are read at different speeds. It does not wait
// for one to which nothing comes: that made no step for idle, or, where there
// is no clock, that is behind by more than idleEvents of the events'. Nor for
// one that is behind by mostBehind.
type collector struct {
	idle    time.Duration
	members map[any]*member
	pending map[int64][]contribution
	closed  int64 // the end of the last step that was merged
}

// member is where one that makes steps is.
type member struct {
	at     int64     // the end of its last step; 0 before the first
	seen   time.Time // when it made that, or began; zero before
	joined int64     // what was merged when it came
}

// contribution is what one member did in a step.
type contribution struct {
	from any
	step *Step
}

const (
	idleEvents = int64(5 * time.Minute)
	mostBehind = int64(6 * time.Hour)
)

func newCollector(idle time.Duration) *collector {
	return &collector{idle: idle, members: map[any]*member{}, pending: map[int64][]contribution{}}
}

func (c *collector) join(who any) *member {
	m := &member{joined: c.closed}
	c.members[who] = m
	return m
}

func (c *collector) leave(who any) { delete(c.members, who) }

// take adds a step of a member and returns those that all members have made.
// A zero now is that of a replay.
func (c *collector) take(who any, m *member, step *Step, now time.Time) []*Step {
	m.at, m.seen = step.At, now
	if step.At <= c.closed-mostBehind {
		return nil // A partition that changed hands is read again to know its agents; what they did has been judged.
	}
	c.put(who, step)
	return c.due(now)
}

// due returns the steps that all members that are waited for have made.
func (c *collector) due(now time.Time) []*Step {
	ready := c.ready(now)
	var merged []*Step
	for len(c.pending) > 0 {
		first := int64(-1)
		for at := range c.pending {
			if first < 0 || at < first {
				first = at
			}
		}
		if first > ready {
			break
		}
		merged = append(merged, c.merge(first))
	}
	return merged
}

// put keeps a step until it is merged. What comes after its time was merged
// counts in the next step.
func (c *collector) put(who any, step *Step) {
	at := max(step.At, c.closed+StepLength)
	step.At = at
	for _, have := range c.pending[at] {
		if have.from == who {
			have.step.follow(step)
			return
		}
	}
	c.pending[at] = append(c.pending[at], contribution{who, step})
}

func (c *collector) merge(at int64) *Step {
	parts := c.pending[at]
	delete(c.pending, at)
	c.closed = at
	for _, more := range parts[1:] {
		parts[0].step.Add(more.step)
	}
	return parts[0].step
}

// ready is the time up to which all members that are waited for have come.
func (c *collector) ready(now time.Time) int64 {
	fastest := c.closed + StepLength
	for _, m := range c.members {
		fastest = max(fastest, m.at)
	}
	slowest := fastest
	for _, m := range c.members {
		waited := fastest-m.at < mostBehind || m.at == 0 // That is in its first step.
		if !now.IsZero() {
			waited = waited && now.Sub(m.seen) < c.idle
		} else {
			waited = waited && m.at > 0 && fastest-m.at < idleEvents
		}
		if waited {
			slowest = min(slowest, m.at)
		}
	}
	return slowest
}

// forget drops members of which nothing was heard since.
func (c *collector) forget(since time.Time) {
	for who, m := range c.members {
		if m.seen.Before(since) {
			delete(c.members, who)
		}
	}
}
