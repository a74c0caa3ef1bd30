package fleet

import (
	"slices"
	"time"
)

// feed is the clock of one topic with the gaps in which nothing came taken out,
// so that a feed that stalls and resumes does not make its agents overdue.
type feed struct {
	name    string
	last    int64   // clock at the last record
	frozen  int64   // time taken out so far
	between float64 // mean time between records
	resumed int64   // on the feed's clock: when it last came back from a gap
	wheel   map[int64][]*Agent
	looked  int64 // the last slot of the wheel that was looked at

	alive          int
	promised       float64 // beats a second that the cadences of those alive promise
	records, beats int     // since the last step
	late           int     // records of a backlog, which are not among them
	gap            int64   // taken out since the last step

	least  int64           // smallest delay of a record since the last step; -1 without one
	delays [lagSteps]int64 // those of the last steps
	step   int

	thinSteps int     // in a row
	thinDue   float64 // beats that were due in them
	thinFrom  int64   // the clock when they began
}

// Bounds of the time for which a feed may be quiet before its clock stops. The
// least is below Config.Late: nobody becomes overdue in it who was on time.
const (
	leastQuiet = int64(50 * time.Second)
	mostQuiet  = int64(30 * time.Minute)
	quietTimes = 5 // mean times between records

	// Shorter gaps are what agents leave that beat one after the other.
	leastOutage = int64(2 * time.Minute)
)

// A feed that brings less than thinShare of the beats that are due, and of which
// at least thinDue are, is stalled although a few records trickle through.
const (
	leastThin = 3
	thinShare = 0.02
	thinDue   = 20
)

func (f *feed) quiet() int64 {
	return min(max(int64(quietTimes*f.between), leastQuiet), mostQuiet)
}

// clock is the feed's own time at a time of the shard's clock.
func (f *feed) clock(now int64) int64 { return min(now, f.last+f.quiet()) - f.frozen }

// record notes that a record came.
func (f *feed) record(now int64) {
	f.records++
	if f.last == 0 {
		f.last = now
		return
	}
	gap := now - f.last
	if quiet := f.quiet(); gap > quiet {
		f.freeze(gap - quiet)
		if gap > max(leastOutage, 2*quiet) {
			f.resumed = now - f.frozen
		}
	}
	if gap > 0 {
		f.between += (float64(min(gap, mostQuiet)) - f.between) / 64
		f.last = now
	} else {
		f.between -= f.between / 64
	}
}

// lagSteps is for how many steps the delay of a feed counts.
const lagSteps = 6

// delayed notes how old a record was when it came.
func (f *feed) delayed(by int64) {
	if f.least < 0 || by < f.least {
		f.least = by
	}
}

// endStep closes the account of delays.
func (f *feed) endStep() {
	if f.least >= 0 {
		f.delays[f.step%lagSteps] = f.least
		f.step++
	}
	f.least = -1
}

// lag is how far behind the feed is: what it has not brought yet may have
// happened since. It is the delay of the most punctual records, because a few
// agents may be late by themselves.
func (f *feed) lag() int64 { return slices.Max(f.delays[:]) }

// mark is the feed's watermark at a time of the shard's clock: how far, on the
// feed's own clock, everybody on time has been heard. Where even the most
// punctual records are older than half of what an agent is given to be late, the
// feed has not told yet what happened since: a few stragglers behind its end do
// not show that all others are silent.
func (f *feed) mark(now, late int64) int64 { return f.clock(now) - max(f.lag()-late/2, 0) }

func (f *feed) freeze(d int64) {
	f.frozen += d
	f.gap += d
}

// thin notes a step, which ends now, in which next to nothing came of what was
// due. Once such steps are more than a turn of all agents, who beat one after the
// other and leave gaps of their own, the clock goes back to where it was when
// they began, and stays there. Where nothing at all comes it has stopped by itself.
func (f *feed) thin(end int64) {
	due := f.promised * float64(StepLength) / 1e9
	if due == 0 || float64(f.beats) >= max(thinShare*due, 1) {
		f.thinSteps, f.thinDue = 0, 0
		return
	}
	if f.thinSteps == 0 {
		f.thinFrom = f.clock(end - StepLength)
	}
	f.thinSteps++
	f.thinDue += due
	turn := max(int(float64(f.alive)/f.promised*1e9)/int(StepLength)+2, leastThin)
	if f.thinSteps < turn || f.thinDue < thinDue {
		return
	}
	if d := f.clock(end) - f.thinFrom; d > 0 {
		f.freeze(d)
		f.resumed = f.last - f.frozen
	}
}

// put has the agent looked at when the feed's clock reaches due.
func (f *feed) put(a *Agent, due int64) {
	a.due, a.queued = due, true
	slot := max(due/StepLength+1, f.looked+1)
	f.wheel[slot] = append(f.wheel[slot], a)
}

// Waiting reports whether the agent is not heard because its feed stands still
// or has just come back.
func (s *Shard) Waiting(a *Agent) bool {
	if a.beat == noBeat {
		return false
	}
	f := s.feeds[a.feed]
	clock := f.clock(s.stepEnd)
	return s.stepEnd-f.frozen-clock > int64(s.cfg.Late) || f.resumed > 0 && clock-f.resumed < 2*a.cadence+int64(s.cfg.Late)
}

// Lag is how far behind a feed is; 0 for one that is not known.
func (s *Shard) Lag(topic string) time.Duration {
	number, ok := s.byFeed[topic]
	if !ok {
		return 0
	}
	return time.Duration(s.feeds[number].lag())
}
