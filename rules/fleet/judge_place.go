package fleet

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// judgedSite finds out whether a site went dark.
type judgedSite struct {
	incident
	fell   [silenceSteps]int
	names  [silenceSteps][]string
	at     int
	silent int
}

// A site is dark when at least this share, and number, of its agents fell
// silent within silenceSteps, while at most elsewhere of all others did; less
// still while many agents fail for a reason of their own.
const (
	siteShare         = 0.8
	siteLeast         = 5
	siteAll           = 0.25 // of those that slept before, too
	elsewhere         = 0.1
	elsewhereIncident = 0.02
)

func (j *Judge) takeSites(s *Step, settled bool) {
	recent, alive := 0, 0
	for name, at := range s.Sites {
		js := of(j.sites, name)
		js.at = (js.at + 1) % silenceSteps
		js.fell[js.at], js.names[js.at] = at.NewlySilent, at.Hosts
		recent += js.recent()
		alive += at.Alive
	}
	for _, name := range slices.Sorted(maps.Keys(s.Sites)) {
		at, js := s.Sites[name], j.sites[name]
		if name == "" || !settled {
			continue
		}
		fell := js.recent()
		if !js.firing {
			others, othersAlive := recent-fell, alive-at.Alive
			limit := elsewhere
			if j.incidents() {
				limit = elsewhereIncident
			}
			// Who slept before is no part of it.
			if fell < siteLeast || float64(fell) < siteShare*float64(fell+at.Alive) ||
				float64(fell) < siteAll*float64(at.Silent+at.Alive) || othersAlive == 0 ||
				float64(others) > limit*float64(others+othersAlive) {
				continue
			}
			js.firing, js.start, js.silent = true, j.now, fell
			j.tellSite(name, js, fell+at.Alive, "firing", fmt.Sprintf("%d of %d agents of site %s fell silent within minutes, %d of %d elsewhere", fell, fell+at.Alive, name,
				others, others+othersAlive))
			continue
		}
		js.silent = max(js.silent+at.NewlySilent-at.Returned, 0)
		if at.Alive > js.silent {
			js.firing = false
			j.tellSite(name, js, js.silent+at.Alive, "resolved", fmt.Sprintf("site %s is back: %d of %d agents are heard", name, at.Alive, js.silent+at.Alive))
			js.fell, js.names = [silenceSteps]int{}, [silenceSteps][]string{}
		}
	}
}

// incidents reports whether a version or a cohort is being told of.
func (j *Judge) incidents() bool {
	for _, v := range j.versions {
		if v.firing {
			return true
		}
	}
	for _, c := range j.cohorts {
		if c.firing {
			return true
		}
	}
	return false
}

func (js *judgedSite) recent() int {
	n := 0
	for _, fell := range js.fell {
		n += fell
	}
	return n
}

func (j *Judge) tellSite(name string, js *judgedSite, all int, status, reason string) {
	number := js.tell(j.now, js.silent)
	var hosts []string
	for i := range js.names {
		hosts = appendBounded(hosts, js.names[(js.at+1+i)%silenceSteps])
	}
	j.findings = append(j.findings, Finding{
		Kind: "site_outage", Scope: "site", Status: status, Key: name, At: j.now, Number: number, Start: js.start, Count: js.silent, Denominator: all, Hosts: hosts, Site: name,
		Reason: reason, Evidence: []Evidence{{Name: "site", Text: name}},
	})
}

// judgedFeed finds out whether a feed stalled.
type judgedFeed struct {
	incident
	steps   int     // in a row with next to nothing
	due     float64 // beats that were due in them
	since   int64
	stood   int64   // when it had been stalled for long enough to be told of
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
// looks so, and a shipper that catches up. What is not heard then is told of
// when the present comes back. So is in a replay that nothing comes at all,
// because its clock goes on only when something does, by the time at which a
// gateway would have told: what never comes back is where the capture ends.
func (j *Judge) backlogOnly(s *Step) bool {
	beats, due, late := 0, 0.0, 0
	for _, f := range s.Feeds {
		if f.Due > 0 {
			beats, due, late = beats+f.Beats, due+f.Due, late+f.Late
		}
	}
	if float64(beats) >= trickle*due {
		j.blackout = false
	} else if late > 0 || j.replay && due > 0 {
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

// takeFeed judges one feed; one that is quiet with the others is not told of.
func (j *Judge) takeFeed(name string, jf *judgedFeed, f *FeedStep, backlog, together bool) {
	if float64(f.Beats) >= max(thinShare*f.Due, 1) || f.Alive == 0 {
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
		jf.turn = int(1.5 * float64(f.Alive) / f.Due)
	}
	if jf.steps == 0 {
		jf.since = j.now - StepLength
	}
	jf.steps++
	jf.due += f.Due
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
	if j.replay && jf.stood != 0 {
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
