package fleet

import "math"

// View is what is known of the whole fleet at the closing of a step. It is all
// that the agents of one partition learn about those of others: it is replaced
// at the closing, for everybody at once, so that nothing depends on which
// partition is read first. It does not change; any number of shards read it.
type View struct {
	End   int64 // of the step that was closed, nanoseconds since 1970
	Began int64 // end of the first step; 0 before
	// Hosts is what happened to hosts in the step, in an order that depends on
	// the events alone.
	Hosts []HostIncident
	// Partial says that a partition was not waited for.
	Partial bool

	feeds    map[string]FeedClock
	dark     map[string]int64               // sites that are reported as dark, and since when
	failing  map[string]struct{}            // sites that lose their agents much faster than others
	blamed   map[string]map[string]struct{} // of a site's newly silent those whose silence counts against versions
	versions map[Version]int64              // last exposure
	alive    map[Stratum]int                // agents
	known    map[Stratum]int                // those that are silent as well

	agents    int                          // that shards know, whether or not it is known how often they are heard
	incidents map[IncidentKey]OpenIncident // of rules with rollup
}

// Alive is how many agents of a product and an OS are alive; "" for all.
func (v *View) Alive(product, os string) int { return v.AliveLike(Stratum{Product: product, OS: os}) }

// FeedClock is the clock of one topic at the closing of a step: time with the
// gaps in which nothing came taken out. All are nanoseconds.
type FeedClock struct {
	frozen  int64 // time taken out so far
	until   int64 // the clock stands still from here on, unless something comes
	resumed int64 // on the feed's clock: when it last came back from a gap
	lag     int64 // how far behind the feed is
}

// runningClock is that of a feed of which no step was closed.
func runningClock() FeedClock { return FeedClock{until: math.MaxInt64} }

// at is the feed's own time at a time of the log.
func (c *FeedClock) at(now int64) int64 { return min(now, c.until) - c.frozen }

// mark is the feed's watermark: how far, on its own clock, everybody on time has
// been heard. Where even the most punctual records are older than half of what
// an agent is given to be late, the feed does not show yet what happened since: a
// few stragglers behind its end do not show that all others are silent.
func (c *FeedClock) mark(now, late int64) int64 { return c.at(now) - max(c.lag-late/2, 0) }

// feed returns the clock of a topic.
func (v *View) feed(name string) FeedClock {
	if v != nil {
		if c, ok := v.feeds[name]; ok {
			return c
		}
	}
	return runningClock()
}

// Dark reports whether the agent's site was reported as dark. An agent of which
// no site is known is taken to be of one that lost its agents when it was lost.
func (v *View) Dark(a *Agent) bool {
	if v == nil || len(v.dark) == 0 {
		return false
	}
	if a.Site != "" {
		_, dark := v.dark[a.Site]
		return dark
	}
	for _, since := range v.dark {
		if a.LastSeen < since && a.LastSeen >= since-silenceSteps*StepLength-a.cadence {
			return true
		}
	}
	return false
}

// views keeps those of the last steps, for partitions that are read again.
type views struct {
	ring [keptViews]*View
	last *View
}

// keptViews is for how many steps views are kept: two hours.
const keptViews = 720

func (v *views) add(view *View) {
	v.ring[view.End/StepLength%keptViews] = view
	v.last = view
}

// at returns the view of the step that ended at a time, else the newest of those
// before that is kept, else nil.
func (v *views) at(end int64) *View {
	if v.last == nil || v.last.End <= end {
		return v.last
	}
	for back := int64(0); back < keptViews; back++ {
		slot := end/StepLength - back
		if slot < 0 {
			break
		}
		if view := v.ring[slot%keptViews]; view != nil && view.End <= end && view.End > end-keptViews*StepLength {
			return view
		}
	}
	return nil
}

// next returns the first view after a time and up to another, nil for none.
func (v *views) next(after, upTo int64) *View {
	if v.last == nil || v.last.End <= after {
		return nil
	}
	for end := max(after, v.last.End-keptViews*StepLength)/StepLength*StepLength + StepLength; end <= min(upTo, v.last.End); end += StepLength {
		if view := v.ring[end/StepLength%keptViews]; view != nil && view.End == end {
			return view
		}
	}
	return nil
}
