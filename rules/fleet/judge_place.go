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
	resumed int
	turn    int // steps in which every agent should have been heard, and half as many again
}

// A feed is stalled when for stalledSteps steps, and a turn of its agents, in which at least stalledDue
// beats were due, next to nothing came.
const (
	stalledSteps = 18
	stalledDue   = 20
)

// backlogOnly notes whether all that comes is a backlog: the end of a capture
// looks so, and a shipper that catches up. What is not heard then is told of
// when the present comes back.
func (j *Judge) backlogOnly(s *Step) bool {
	fresh, late := 0, 0
	for _, f := range s.Feeds {
		fresh, late = fresh+f.Records, late+f.Late
	}
	if fresh > 0 {
		j.blackout = false
	} else if late > 0 {
		j.blackout = true
	}
	return j.blackout
}

func (j *Judge) takeFeeds(s *Step) {
	backlog := j.backlogOnly(s)
	for _, name := range slices.Sorted(maps.Keys(s.Feeds)) {
		f, jf := s.Feeds[name], of(j.feeds, name)
		if float64(f.Beats) >= max(thinShare*f.Due, 1) || f.Alive == 0 {
			if !jf.firing && jf.stalled() {
				jf.begin(j, name, f)
			}
			if jf.firing {
				j.stalled = s.At
				if jf.resumed++; jf.resumed >= leastThin {
					jf.firing = false
					gap := time.Duration(s.At - jf.since).Round(time.Second)
					j.tellFeed(name, jf, f, "resolved", fmt.Sprintf("feed %s is back after %s", name, gap))
				} else {
					continue
				}
			}
			jf.steps, jf.due, jf.resumed = 0, 0, 0
			continue
		}
		jf.turn = 0
		if f.Due > 0 {
			jf.turn = int(1.5 * float64(f.Alive) / f.Due)
		}
		if jf.steps == 0 {
			jf.since = s.At - StepLength
		}
		jf.steps++
		jf.due += f.Due
		jf.resumed = 0
		if !jf.firing && jf.stalled() && !backlog {
			jf.begin(j, name, f)
		}
		if jf.stalled() {
			j.stalled = s.At
		}
	}
}

func (jf *judgedFeed) stalled() bool {
	return jf.steps >= max(stalledSteps, jf.turn) && jf.due >= stalledDue
}

func (jf *judgedFeed) begin(j *Judge, name string, f *FeedStep) {
	jf.firing, jf.start = true, jf.since
	j.tellFeed(name, jf, f, "firing", fmt.Sprintf("feed %s brings next to nothing for %s: %.0f signs of life of %d agents were due", name,
		time.Duration(j.now-jf.since).Round(time.Second), jf.due, f.Alive))
}

func (j *Judge) tellFeed(name string, jf *judgedFeed, f *FeedStep, status, reason string) {
	number := jf.tell(j.now, f.Alive)
	j.findings = append(j.findings, Finding{
		Kind: "pipeline_silence", Scope: "pipeline", Status: status, Key: name, At: j.now, Number: number, Start: jf.start, Count: f.Alive, Denominator: f.Alive, Reason: reason,
		Evidence: []Evidence{{Name: "feed", Text: name}, {Name: "due", Number: jf.due}},
	})
}
