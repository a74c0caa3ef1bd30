package fleet

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// judgedFeed finds out whether a feed stalled.
type judgedFeed struct {
	incident
	steps   int     // in a row with next to nothing
	due     float64 // beats that were due in them
	since   int64
	stood   int64   // when it had been stalled for long enough to be reported
	missed  float64 // beats that were due by then
	resumed int
	turn    int // steps in which every agent should have been heard, and half as many again
}

// A feed is stalled when for stalledSteps steps, and a turn of its agents, in which at least stalledDue
// beats were due, next to nothing came.
const (
	stalledSteps = 18
	stalledDue   = 20
)

// trickle is the share of the beats that are due, of all feeds together, up to
// which a backlog may hold some that are nearly of the present.
const trickle = 0.05

// backlogOnly notes whether all that comes is a backlog: the end of a capture
// looks so, and a shipper that catches up. What is not heard then is reported
// when the present comes back. So is that nothing comes at all, because the
// clock of the log goes on only when something does: it is reported by the time from
// which on it was known, and what never comes back is where the log ends.
func (j *Judge) backlogOnly(s *Step) bool {
	beats, due, late := 0, 0.0, 0
	for _, f := range s.Feeds {
		if f.Due > 0 {
			beats, due, late = beats+f.Beats, due+f.beatsDue(), late+f.Late
		}
	}
	if float64(beats) >= trickle*due {
		j.blackout = false
	} else if late > 0 || due > 0 {
		j.blackout = true
	}
	return j.blackout
}

// allFeeds stands for the feeds of a gateway that has several, when all of them
// stall: that is one incident.
const allFeeds = "all feeds"

func (j *Judge) takeFeeds(s *Step) {
	backlog := j.backlogOnly(s)
	names := slices.Sorted(maps.Keys(s.Feeds))
	total, several := FeedStep{}, 0
	for _, name := range names {
		if f := s.Feeds[name]; f.Alive > 0 {
			several++
			total.Records, total.Beats, total.Late = total.Records+f.Records, total.Beats+f.Beats, total.Late+f.Late
			total.Due, total.Alive = total.Due+f.Due, total.Alive+f.Alive
		}
	}
	all := of(j.feeds, allFeeds)
	if several > 1 || all.firing {
		j.takeFeed(allFeeds, all, &total, backlog, false)
		if all.firing || all.steps >= togetherSteps {
			j.together = s.At
		}
	}
	// Feeds that stalled together come back by and by.
	together := j.together != 0 && s.At-j.together < afterTogether
	for _, name := range names {
		j.takeFeed(name, of(j.feeds, name), s.Feeds[name], backlog, together)
	}
}

// All feeds are quiet together after so many steps, and what single ones do
// then for so long is a part of it.
const (
	togetherSteps = 6
	afterTogether = int64(3 * time.Minute)
)

// takeFeed judges one feed; one that is quiet with the others is not reported.
func (j *Judge) takeFeed(name string, jf *judgedFeed, f *FeedStep, backlog, together bool) {
	if float64(f.Beats) >= max(thinShare*f.beatsDue(), 1) || f.Alive == 0 {
		if !jf.firing && jf.stalled() && !together {
			jf.begin(j, name, f)
		}
		if jf.firing {
			j.stalled = j.now
			if jf.resumed++; jf.resumed < leastThin {
				return
			}
			jf.firing = false
			gap := time.Duration(j.now - jf.since).Round(time.Second)
			j.tellFeed(name, jf, f, j.now, "resolved", fmt.Sprintf("%s came back after %s", feedName(name), gap))
		}
		jf.steps, jf.due, jf.resumed, jf.stood = 0, 0, 0, 0
		return
	}
	jf.turn = 0
	if f.Due > 0 {
		jf.turn = int(1.5 * float64(f.Alive) / f.beatsDue())
	}
	if jf.steps == 0 {
		jf.since = j.now - StepLength
	}
	jf.steps++
	jf.due += f.beatsDue()
	jf.resumed = 0
	if !jf.firing && jf.stalled() && !backlog && !together {
		jf.begin(j, name, f)
	}
	if jf.stalled() {
		j.stalled = j.now
		if jf.stood == 0 {
			jf.stood, jf.missed = j.now, jf.due
		}
	}
}

func feedName(name string) string {
	if name == allFeeds {
		return name
	}
	return "feed " + name
}

func (jf *judgedFeed) stalled() bool {
	return jf.steps >= max(stalledSteps, jf.turn) && jf.due >= stalledDue
}

func (jf *judgedFeed) begin(j *Judge, name string, f *FeedStep) {
	jf.firing, jf.start = true, jf.since
	at, due := j.now, jf.due
	if jf.stood != 0 {
		at, due = jf.stood, jf.missed
	}
	j.tellFeed(name, jf, f, at, "firing", fmt.Sprintf("%s: next to nothing came for %s, where %.0f signs of life of %d agents were due", feedName(name),
		time.Duration(at-jf.since).Round(time.Second), due, f.Alive))
}

func (j *Judge) tellFeed(name string, jf *judgedFeed, f *FeedStep, at int64, status, reason string) {
	number := jf.tell(j.now, f.Alive)
	j.findings = append(j.findings, Finding{
		Kind: "pipeline_silence", Scope: "pipeline", Status: status, Key: name, At: at, Number: number, Start: jf.start, Count: f.Alive, Denominator: f.Alive, Reason: reason,
		Evidence: []Evidence{{Name: "feed", Text: name}, {Name: "due", Number: jf.due}},
	})
}
