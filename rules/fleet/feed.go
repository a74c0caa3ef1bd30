package fleet

import "time"

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
	gap            int64   // taken out since the last step

	window [thinSteps]struct{ beats, due float64 } // the last steps
	filled int
}

// Bounds of the time for which a feed may be quiet before its clock stops.
const (
	leastQuiet = int64(30 * time.Second)
	mostQuiet  = int64(30 * time.Minute)
	quietTimes = 5 // mean times between records
)

// A feed that for thinSteps steps brings less than thinShare of the beats that
// are due, and of which at least thinDue are, is stalled although a few
// records trickle through.
const (
	thinSteps = 3
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
		f.resumed = now - f.frozen
	}
	if gap > 0 {
		f.between += (float64(min(gap, mostQuiet)) - f.between) / 64
		f.last = now
	} else {
		f.between -= f.between / 64
	}
}

func (f *feed) freeze(d int64) {
	f.frozen += d
	f.gap += d
}

// thin looks at the last steps and takes the present one out of the clock when
// next to nothing came of what was due.
func (f *feed) thin() {
	copy(f.window[1:], f.window[:])
	f.window[0].beats, f.window[0].due = float64(f.beats), f.promised*float64(StepLength)/1e9
	f.filled = min(f.filled+1, thinSteps)
	beats, due := 0.0, 0.0
	for _, w := range f.window[:f.filled] {
		beats, due = beats+w.beats, due+w.due
	}
	if f.filled == thinSteps && due >= thinDue && beats < thinShare*due {
		f.freeze(StepLength)
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
