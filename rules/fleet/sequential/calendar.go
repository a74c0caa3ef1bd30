package sequential

import "time"

// hoursOfWeek is how many slots a Calendar has.
const hoursOfWeek = 168

// Calendar learns how often agents of one group fall silent by the hour of the
// week, in UTC: offices close, laptops are shut, batches reboot servers. A week
// weighs three quarters of the one after it. 2.7 KB. It is not safe for
// concurrent use; the zero value knows nothing.
type Calendar struct {
	Slots [hoursOfWeek]Slot
}

// Slot is one hour of the week.
type Slot struct {
	Silences, Seconds float32 // of agents, decayed
	Weeks             uint32  // in how many weeks it was seen
	Last              uint32  // hour since 1970 that it learned from last
}

// trustedWeeks is in how many weeks an hour has to have been seen before it is
// believed to be quieter than agents of the kind usually are.
const trustedWeeks = 2

// lastWeek is what a week weighs when the next comes.
const lastWeek = 0.75

const hour = int64(time.Hour)

// slotOf returns the slot of a time in nanoseconds since 1970, a Thursday.
func slotOf(at int64) int { return int((at/hour + 3*24) % hoursOfWeek) }

// Learn takes how many of so many agents fell silent in the seconds before at.
func (c *Calendar) Learn(at int64, silences, agents, seconds float64) {
	s := &c.Slots[slotOf(at)]
	if now := uint32(at / hour); s.Last != now {
		s.Last = now
		s.Weeks++
		s.Silences *= lastWeek
		s.Seconds *= lastWeek
	}
	s.Silences += float32(silences)
	s.Seconds += float32(agents * seconds)
}

// Rate returns how often an agent falls silent in a second of that hour, or of
// the one before or after it, whichever is more: clocks are put forward and
// back, and people leave early. Each is drawn to base, the usual rate of such
// agents, as if priorWeight silences had been seen at it. It also reports
// whether all three hours were seen often enough to be believed.
func (c *Calendar) Rate(at int64, base float64) (rate float64, trusted bool) {
	trusted = true
	for d := range 3 {
		s := &c.Slots[(slotOf(at)+hoursOfWeek+d-1)%hoursOfWeek]
		trusted = trusted && s.Weeks >= trustedWeeks
		rate = max(rate, (float64(s.Silences)+priorWeight)/(float64(s.Seconds)+priorWeight/base))
	}
	return rate, trusted
}
