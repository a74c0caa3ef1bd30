package fleet

import (
	"cmp"
	"maps"
	"slices"

	"github.com/edrwatch/edrwatch/rules/fleet/sequential"
)

// Judge decides from the steps of the whole fleet. It belongs to one
// goroutine; the same steps give the same findings.
type Judge struct {
	cfg      Config
	began    int64
	now      int64
	versions map[Version]*judgedVersion
	strata   map[Stratum]*sequential.Silence
	failing  map[Stratum]*sequential.Hazard // how often agents fail in any way
	alive    map[Stratum]int                // at the last step
	cohorts  map[cohortKey]*judgedCohort
	sites    map[string]*judgedSite
	feeds    map[string]*judgedFeed
	begun    int                     // versions that came
	clocks   map[string]*judgedClock // of feeds
	minute   int64                   // in which lost counts
	lost     int                     // newly silent in it
	stalled  int64                   // when a feed was seen stalled last
	together int64                   // when all feeds were seen quiet last
	blackout bool                    // nothing of the present came lately, only a backlog
	findings []Finding
}

// NewJudge returns a judge that has seen nothing.
func NewJudge(cfg Config) *Judge {
	return &Judge{
		cfg: cfg.withDefaults(), clocks: map[string]*judgedClock{}, versions: map[Version]*judgedVersion{}, strata: map[Stratum]*sequential.Silence{}, failing: map[Stratum]*sequential.Hazard{},
		alive: map[Stratum]int{}, cohorts: map[cohortKey]*judgedCohort{}, sites: map[string]*judgedSite{}, feeds: map[string]*judgedFeed{},
	}
}

// Take judges one step and returns what it found, in an order that depends on
// the steps alone, and what all shards may know of it.
func (j *Judge) Take(s *Step) ([]Finding, *View) {
	if j.began == 0 {
		j.began = s.At
	}
	before := s.At - StepLength
	if j.now > 0 {
		before = j.now
	}
	j.now = s.At
	j.findings = nil
	settled := s.At-j.began >= int64(j.cfg.Settle)
	for name := range s.Feeds {
		of(j.clocks, name)
	}
	for name, c := range j.clocks {
		f := s.Feeds[name]
		if f == nil {
			f = &FeedStep{}
		}
		c.take(f, before, s.At)
	}
	j.takeFeeds(s)
	blamed := j.takeLosses(s)
	j.takeSites(s, settled)
	j.alive = make(map[Stratum]int, len(s.Strata))
	for key, stratum := range s.Strata {
		j.alive[key] = stratum.Alive
	}
	j.takeVersions(s)
	j.learnFailures(s)
	j.takeStrata(s, settled)
	return j.findings, j.view(s, blamed)
}

// view is what all shards may know after a step.
func (j *Judge) view(s *Step, blamed map[string]map[string]struct{}) *View {
	v := &View{
		End: s.At, Began: j.began, Hosts: s.Hosts, feeds: make(map[string]FeedClock, len(j.clocks)), blamed: blamed,
		alive: j.alive, agents: s.Agents, known: make(map[Stratum]int, len(s.Strata)),
		dark: map[string]int64{}, failing: map[string]struct{}{}, versions: make(map[Version]int64, len(j.versions)),
	}
	for key, st := range s.Strata {
		v.known[key] = st.Alive + st.Silent
	}
	for name, c := range j.clocks {
		v.feeds[name] = c.view(s.At)
	}
	for name, site := range j.sites {
		if site.firing {
			v.dark[name] = site.start
		}
		if s.At < site.losing {
			v.failing[name] = struct{}{}
		}
	}
	for version, jv := range j.versions {
		v.versions[version] = max(jv.lastExposed, jv.first)
	}
	return v
}

// SiteDark reports whether a site is known to be dark.
func (j *Judge) SiteDark(name string) bool {
	site := j.sites[name]
	return site != nil && site.firing
}

// sortedKeys returns the keys of a map in a fixed order, so that findings do
// not depend on the order of maps.
func sortedKeys[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), compare)
}

func compareVersions(a, b Version) int {
	return cmp.Or(cmp.Compare(a.Product, b.Product), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Version, b.Version))
}

func compareStrata(a, b Stratum) int {
	return cmp.Or(cmp.Compare(a.Product, b.Product), cmp.Compare(a.OS, b.OS), cmp.Compare(a.HostType, b.HostType), cmp.Compare(a.Ring, b.Ring))
}
