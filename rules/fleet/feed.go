package fleet

import "time"

// feed is one topic in a shard: what came of it in the step in progress, and
// its agents, who are due on the clock that the topic has over all partitions.
type feed struct {
	name  string
	clock FeedClock // as of the view
	wheel map[int64][]*Agent
	// looked is the last slot of the wheel that was looked at.
	looked int64

	alive          int
	promised       int64 // beats a step that the cadences of those alive promise, in millionths
	records, beats int   // in the step
	late           int   // records of a backlog, which are not among them
	first, last    int64 // clock at the first and last record of the step; 0 without one
	least          int64 // smallest delay of a record in the step; -1 without one
}

// record notes that a record of the present came.
func (f *feed) record(now int64) {
	if f.records == 0 {
		f.first = now
	}
	f.records++
	f.last = now
}

// delayed notes how old a record was when it came.
func (f *feed) delayed(by int64) {
	if f.least < 0 || by < f.least {
		f.least = by
	}
}

// end returns what came in the step and begins the next.
func (f *feed) end() FeedStep {
	s := FeedStep{Records: f.records, Beats: f.beats, Late: f.late, Due: f.promised, Alive: f.alive, First: f.first, Last: f.last, Least: max(f.least, 0)}
	f.records, f.beats, f.late, f.first, f.last, f.least = 0, 0, 0, 0, 0, -1
	return s
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
	c := &s.feeds[a.feed].clock
	clock := c.at(s.stepEnd)
	return s.stepEnd-c.frozen-clock > int64(s.cfg.Late) || c.resumed > 0 && clock-c.resumed < 2*a.cadence+int64(s.cfg.Late)
}

// Lag is how far behind a feed is; 0 for one that is not known.
func (s *Shard) Lag(topic string) time.Duration {
	number, ok := s.byFeed[topic]
	if !ok {
		return 0
	}
	return time.Duration(s.feeds[number].clock.lag)
}
