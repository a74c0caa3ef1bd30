package fleet

import (
	"math"
	"slices"
)

// judgedClock is the clock of one topic over all its partitions, with the gaps
// in which nothing came taken out, so that a feed that stalls and resumes does
// not make its agents overdue. It moves from closing to closing.
type judgedClock struct {
	last    int64   // the latest record
	frozen  int64   // time taken out so far
	between float64 // mean time between records
	resumed int64   // on the feed's clock: when it last came back from a gap

	delays [lagSteps]int64 // smallest delay of a record in the last steps with one
	step   int

	thinSteps int     // in a row
	thinDue   float64 // beats that were due in them
	thinFrom  int64   // the clock when they began
}

// Bounds of the time for which a feed may be quiet before its clock stops. The
// least is below Config.Late: nobody becomes overdue in it who was on time.
const (
	leastQuiet = 50e9
	mostQuiet  = 30 * 60e9
	quietTimes = 5 // mean times between records

	// Shorter gaps are what agents leave that beat one after the other.
	leastOutage = int64(120e9)
)

// A feed that brings less than thinShare of the beats that are due, and of which
// at least thinDue are, is stalled although a few records trickle through.
const (
	leastThin = 3
	thinShare = 0.02
	thinDue   = 20
)

// lagSteps is for how many steps the delay of a feed counts.
const lagSteps = 6

// betweenRecords is the weight of one record in the mean time between records.
const betweenRecords = 1.0 / 64

func (c *judgedClock) quiet() int64 {
	return int64(min(max(quietTimes*c.between, leastQuiet), mostQuiet))
}

// take moves the clock over a step that began at from and ended at end.
func (c *judgedClock) take(s *FeedStep, from, end int64) {
	begin := from - c.frozen
	if s.Records > 0 {
		c.records(s)
	}
	if stop := max(c.last+c.quiet(), from); end > stop {
		c.frozen += end - stop
	}
	if s.Records > 0 || s.Late > 0 {
		c.delays[c.step%lagSteps] = s.Least
		c.step++
	}
	c.thin(s, begin, end)
}

func (c *judgedClock) records(s *FeedStep) {
	if c.last == 0 {
		c.last = s.First
	}
	if s.First-c.last > max(leastOutage, 2*c.quiet()) {
		c.resumed = s.First - c.frozen
	}
	mean := min(float64(max(s.Last-c.last, 0))/float64(s.Records), mostQuiet)
	c.between += (mean - c.between) * (1 - math.Pow(1-betweenRecords, float64(s.Records)))
	c.last = max(c.last, s.Last)
}

// thin notes a step in which next to nothing came of what was due. Once such
// steps are more than a turn of all agents, who beat one after the other and
// leave gaps of their own, the clock goes back to where it was when they began,
// and stays there. Where nothing at all comes it has stopped by itself.
func (c *judgedClock) thin(s *FeedStep, begin, end int64) {
	due := s.beatsDue()
	if due == 0 || float64(s.Beats) >= max(thinShare*due, 1) {
		c.thinSteps, c.thinDue = 0, 0
		return
	}
	if c.thinSteps == 0 {
		c.thinFrom = begin
	}
	c.thinSteps++
	c.thinDue += due
	turn := max(int(float64(s.Alive)/due)+2, leastThin)
	if c.thinSteps < turn || c.thinDue < thinDue {
		return
	}
	if d := end - c.frozen - c.thinFrom; d > 0 {
		c.frozen += d
		c.resumed = c.last - c.frozen
	}
}

// view is the clock as shards read it after the step that ended at end.
func (c *judgedClock) view(end int64) FeedClock {
	return FeedClock{
		frozen: c.frozen, until: max(c.last+c.quiet(), end), resumed: c.resumed,
		// The delay of the most punctual records, because a few agents may be late by
		// themselves.
		lag: slices.Max(c.delays[:]),
	}
}
