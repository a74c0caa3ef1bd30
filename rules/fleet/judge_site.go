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
	recent int   // newly silent in the minute
	losing int64 // until when its silences are its own
}

// A site is dark when at least this share, and number, of its agents fell
// silent within silenceSteps, while hardly any agent outside it did; fewer
// still while many agents fail for a reason of their own.
const (
	siteShare         = 0.8
	siteLeast         = 5
	siteAll           = 0.25 // of those that slept before, too
	elsewhere         = 0.1  // of the agents outside it, at most
	elsewhereIncident = 0.02 // the same, while a version or a cohort has an incident
)

func (j *Judge) takeSites(s *Step, settled bool) {
	recent, alive := 0, 0
	for name, at := range s.Sites {
		js := of(j.sites, name)
		js.at = (js.at + 1) % silenceSteps
		js.fell[js.at], js.names[js.at] = at.NewlySilent, at.Hosts
		recent += js.lately()
		alive += at.Alive
	}
	for _, name := range slices.Sorted(maps.Keys(s.Sites)) {
		at, js := s.Sites[name], j.sites[name]
		if name == "" || !settled {
			continue
		}
		fell := js.lately()
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
			j.tellSite(name, js, fell+at.Alive, "firing", fmt.Sprintf("%d of %d agents of site %s fell silent within minutes, %d of %d agents outside it", fell, fell+at.Alive, name,
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

// incidents reports whether an incident of a version or a cohort is open.
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

func (js *judgedSite) lately() int {
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

// A site is losing its agents when so many of them, more than this share, and
// so many times the share outside it, fall silent within a minute. It stays so
// for a while.
const (
	losingHosts = 5
	losingShare = 0.10
	losingTimes = 4
	losingFor   = int64(10 * time.Minute)
)

// siteBlames is how many silences of one site within a minute count as
// failures of versions: what brings a site down begins with a few of its agents.
const siteBlames = 3

// takeLosses finds the sites that lose their agents much faster than the others
// do, whose silences are no agent's failure, and of all other sites the few
// whose silence counts against versions.
func (j *Judge) takeLosses(s *Step) (blamed map[string]map[string]struct{}) {
	fell, all := 0, 0
	for _, at := range s.Sites {
		fell += at.NewlySilent
		all += at.Alive + at.Silent
	}
	if fell == 0 {
		return nil
	}
	if s.At-j.minute >= int64(time.Minute) {
		j.minute, j.lost = s.At, 0
		for _, js := range j.sites {
			js.recent = 0
		}
	}
	j.lost += fell
	blamed = map[string]map[string]struct{}{}
	for name, at := range s.Sites {
		if at.NewlySilent == 0 || name == "" {
			continue
		}
		js := of(j.sites, name)
		allowed := max(siteBlames-js.recent, 0)
		js.recent += at.NewlySilent
		if js.loses(j.lost, at.Alive+at.Silent, all) && len(s.Sites) > 1 {
			js.losing = s.At + losingFor
		}
		names := map[string]struct{}{}
		for _, host := range at.Hosts[:min(allowed, len(at.Hosts))] {
			names[host] = struct{}{}
		}
		blamed[name] = names
	}
	return blamed
}

// loses reports whether a site of so many agents loses them much faster than
// all others.
func (js *judgedSite) loses(lost, here, all int) bool {
	elsewhere := float64(lost-js.recent) / max(float64(all-here), 1)
	share := float64(js.recent) / max(float64(here), 1)
	return js.recent >= losingHosts && share > losingShare && share > losingTimes*elsewhere
}
