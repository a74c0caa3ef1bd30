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
	begun    int   // versions that came
	stalled  int64 // when a feed was seen stalled last
	together int64 // when all feeds were seen quiet last
	replay   bool  // the clock is that of the records: it stands still when nothing comes
	blackout bool  // nothing of the present came lately, only a backlog
	findings []Finding
}

// NewJudge returns a judge that has seen nothing.
func NewJudge(cfg Config) *Judge { return newJudge(cfg, false) }

func newJudge(cfg Config, replay bool) *Judge {
	return &Judge{
		replay: replay, cfg: cfg.withDefaults(), versions: map[Version]*judgedVersion{}, strata: map[Stratum]*sequential.Silence{}, failing: map[Stratum]*sequential.Hazard{},
		alive: map[Stratum]int{}, cohorts: map[cohortKey]*judgedCohort{}, sites: map[string]*judgedSite{}, feeds: map[string]*judgedFeed{},
	}
}

// Take judges one step and returns what it found, in an order that depends on
// the steps alone.
func (j *Judge) Take(s *Step) []Finding {
	if j.began == 0 {
		j.began = s.At
	}
	j.now = s.At
	j.findings = nil
	settled := s.At-j.began >= int64(j.cfg.Settle)
	j.takeFeeds(s)
	j.takeSites(s, settled)
	j.alive = make(map[Stratum]int, len(s.Strata))
	for key, stratum := range s.Strata {
		j.alive[key] = stratum.Alive
	}
	j.takeVersions(s)
	j.learnFailures(s)
	j.takeStrata(s, settled)
	return j.findings
}

// SiteDark reports whether a site is known to be dark.
func (j *Judge) SiteDark(name string) bool {
	site := j.sites[name]
	return site != nil && site.firing
}

// lostWithSite reports whether an agent that was heard last at a time, and beats
// in an interval, may be of a site that is dark: heard before that went dark, and
// missed since.
func (j *Judge) lostWithSite(heard, cadence int64) bool {
	for _, site := range j.sites {
		if site.firing && heard < site.start && heard >= site.start-silenceSteps*StepLength-cadence {
			return true
		}
	}
	return false
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
