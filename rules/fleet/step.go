package fleet

import (
	"cmp"
	"slices"
	"strings"
)

// Class is a way to fail.
type Class uint8

// The ways to fail that are distinguished. Each is compared by itself.
const (
	Silence   Class = iota // no goodbye, and overdue
	Crash                  // of the agent, or its host
	Restart                // without the host's, an update or a stop
	Resources              // CPU or memory far above the agent's own past
	Telemetry              // events dropped
	classes
	anyFailure = classes // all of them together
)

// String returns the name that stands in alerts.
func (c Class) String() string {
	return [...]string{"silence", "crash", "restart", "resources", "telemetry", "any"}[c]
}

// Stratum is a group of agents that live alike.
type Stratum struct{ Product, OS, HostType, Ring string }

// Version names what is rolled out: a sensor, or a file of a content channel.
type Version struct{ Product, Kind, Channel, Version string }

// Kinds of versions.
const (
	Sensor  = "sensor"
	Content = "content"
)

// Casualty is one agent that failed; steps carry a bounded number of them.
type Casualty struct {
	Host  string
	Site  string
	Model string // of its hardware, where it is one of those that are compared
	Class Class
	Heard int64 // when it was heard last
}

// maxCasualties bounds the named agents of a stratum or version in one step.
const maxCasualties = 128

// Step is what the agents of one shard did in ten seconds. Counts add up over
// shards.
type Step struct {
	At       int64 // its end, nanoseconds since 1970
	Strata   map[Stratum]*StratumStep
	Sites    map[string]*SiteStep
	Feeds    map[string]*FeedStep
	Versions map[Version]*VersionStep
	Hosts    []HostIncident // what happened to hosts, for the agents on them
	Models   map[ModelKey]*ModelStep

	Agents  int            // that the shard knows at the end, whether or not it knows yet how often they are heard
	Matches []Match        // of rules about the whole fleet
	Cut     map[string]int // how many more of a rule there were

	matchAt    map[matchKey]int // places in Matches
	matchCount map[string]int   // by rule
}

// ModelKey is a model of hardware among the agents of a product.
type ModelKey struct{ Product, Model string }

// ModelStep sums up the hosts of a model, ModelArm those of them that have a
// version.
type (
	ModelStep struct {
		Alive    int // at the end
		Failures [classes + 1]int
	}
	ModelArm struct {
		Alive, Exposed  int
		Failures, Early [classes + 1]int
	}
)

// StratumStep sums up a stratum.
type StratumStep struct {
	Alive, Silent int // at the end
	Returned      int
	NewlySilent   int
	Fell          int              // newly silent, and not because their site goes dark
	Failures      [classes + 1]int // of the silent at most siteBlames a site and minute
	Casualties    []Casualty
}

// SiteStep sums up a site.
type SiteStep struct {
	Alive, Silent, NewlySilent, Returned int
	Hosts                                []string // newly silent
}

// FeedStep sums up a feed: a topic.
type FeedStep struct {
	Records, Beats int   // of the present
	Late           int   // records of a backlog
	Due            int64 // beats that the cadences of its agents promise, in millionths: sums are the same in any order
	Alive          int
	First, Last    int64 // clock at the first and last of Records
	Least          int64 // smallest delay of a record
}

// beatsDue is the number of beats that are due.
func (f *FeedStep) beatsDue() float64 { return float64(f.Due) / millionths }

const millionths = 1e6

// VersionStep sums up a version.
type VersionStep struct {
	Exposed int // agents that got it in this step
	Strata  map[Stratum]*ArmStep
	Rings   map[string]int // Exposed by ring
	Sites   map[string]int // and by site
	Models  map[string]*ModelArm
}

// ArmStep is the new arm of a comparison in one stratum.
type ArmStep struct {
	Alive      int // agents with the version, at the end
	Exposed    int // that got it in this step
	Fell       int // newly silent of them, counted as failures or not
	Failures   [classes + 1]int
	Early      [classes + 1]int // of those that had it for earlyFor at most
	Casualties []Casualty
}

func newStep(at int64) *Step {
	return &Step{
		At: at, Strata: map[Stratum]*StratumStep{}, Sites: map[string]*SiteStep{}, Feeds: map[string]*FeedStep{}, Versions: map[Version]*VersionStep{},
		Models: map[ModelKey]*ModelStep{},
	}
}

// of returns the entry of a key and makes it if need be.
func of[K comparable, V any](m map[K]*V, key K) *V {
	v := m[key]
	if v == nil {
		v = new(V)
		m[key] = v
	}
	return v
}

// Add adds the counts of another shard's step of the same time.
func (s *Step) Add(o *Step) {
	for k, v := range o.Strata {
		to := of(s.Strata, k)
		to.Alive += v.Alive
		to.Silent += v.Silent
		to.Returned += v.Returned
		to.NewlySilent += v.NewlySilent
		to.Fell += v.Fell
		addFailures(&to.Failures, &v.Failures)
		to.Casualties = leastOf(to.Casualties, v.Casualties, maxCasualties, compareCasualties)
	}
	for k, v := range o.Sites {
		to := of(s.Sites, k)
		to.Alive += v.Alive
		to.Silent += v.Silent
		to.NewlySilent += v.NewlySilent
		to.Returned += v.Returned
		to.Hosts = leastOf(to.Hosts, v.Hosts, maxCasualties, strings.Compare)
	}
	for k, v := range o.Feeds {
		of(s.Feeds, k).add(v)
	}
	for k, v := range o.Versions {
		to := of(s.Versions, k)
		to.add(v)
	}
	s.Hosts = leastOf(s.Hosts, o.Hosts, maxHostIncidents, compareIncidents)
	for k, v := range o.Models {
		to := of(s.Models, k)
		to.Alive += v.Alive
		addFailures(&to.Failures, &v.Failures)
	}
	s.Agents += o.Agents
	s.mergeMatches(o)
}

func (f *FeedStep) add(o *FeedStep) {
	if o.Records > 0 {
		if f.Records == 0 || o.First < f.First {
			f.First = o.First
		}
		f.Last = max(f.Last, o.Last)
	}
	if some := f.Records+f.Late > 0; o.Records+o.Late > 0 && (!some || o.Least < f.Least) {
		f.Least = o.Least
	}
	f.Records += o.Records
	f.Beats += o.Beats
	f.Late += o.Late
	f.Due += o.Due
	f.Alive += o.Alive
}

func addFailures(to, more *[classes + 1]int) {
	for c, n := range more {
		to[c] += n
	}
}

func (v *VersionStep) add(o *VersionStep) {
	v.Exposed += o.Exposed
	v.init()
	for k, n := range o.Rings {
		v.Rings[k] += n
	}
	for k, n := range o.Sites {
		v.Sites[k] += n
	}
	for k, arm := range o.Strata {
		to := of(v.Strata, k)
		to.Alive += arm.Alive
		to.Exposed += arm.Exposed
		to.Fell += arm.Fell
		addFailures(&to.Failures, &arm.Failures)
		addFailures(&to.Early, &arm.Early)
		to.Casualties = leastOf(to.Casualties, arm.Casualties, maxCasualties, compareCasualties)
	}
	for k, arm := range o.Models {
		to := of(v.Models, k)
		to.Alive += arm.Alive
		to.Exposed += arm.Exposed
		addFailures(&to.Failures, &arm.Failures)
		addFailures(&to.Early, &arm.Early)
	}
}

// follow adds the next step of the same shard: what happened adds up, who is
// there is replaced.
func (s *Step) follow(next *Step) {
	s.empty()
	s.Add(next)
}

// empty leaves what happened, and nobody who is there.
func (s *Step) empty() {
	s.Agents = 0
	for _, v := range s.Strata {
		v.Alive, v.Silent = 0, 0
	}
	for _, v := range s.Sites {
		v.Alive, v.Silent = 0, 0
	}
	for _, v := range s.Feeds {
		v.Alive, v.Due = 0, 0
	}
	for _, v := range s.Versions {
		for _, arm := range v.Strata {
			arm.Alive = 0
		}
		for _, arm := range v.Models {
			arm.Alive = 0
		}
	}
	for _, v := range s.Models {
		v.Alive = 0
	}
}

// standing is who was there at the end of the step, of a partition that has not
// reported the next: its agents stay in all denominators, and nothing is due of
// them.
func (s *Step) standing(at int64) *Step {
	to := newStep(at)
	to.Agents = s.Agents
	for k, v := range s.Strata {
		to.Strata[k] = &StratumStep{Alive: v.Alive, Silent: v.Silent}
	}
	for k, v := range s.Sites {
		to.Sites[k] = &SiteStep{Alive: v.Alive, Silent: v.Silent}
	}
	for k, v := range s.Versions {
		arms := of(to.Versions, k)
		arms.init()
		for key, arm := range v.Strata {
			arms.Strata[key] = &ArmStep{Alive: arm.Alive}
		}
		for key, arm := range v.Models {
			arms.Models[key] = &ModelArm{Alive: arm.Alive}
		}
	}
	for k, v := range s.Models {
		to.Models[k] = &ModelStep{Alive: v.Alive}
	}
	return to
}

// Trim takes the names of hosts out, and all sites but the largest.
func (s *Step) Trim(sites int) {
	for _, v := range s.Strata {
		v.Casualties = nil
	}
	for _, v := range s.Sites {
		v.Hosts = nil
	}
	size := func(name string) int { return s.Sites[name].Alive + s.Sites[name].Silent }
	names := sortedKeys(s.Sites, func(a, b string) int { return cmp.Or(cmp.Compare(size(b), size(a)), cmp.Compare(a, b)) })
	for _, name := range names[min(sites, len(names)):] {
		delete(s.Sites, name)
	}
	for _, v := range s.Versions {
		for _, arm := range v.Strata {
			arm.Casualties = nil
		}
		for name := range v.Sites {
			if s.Sites[name] == nil {
				delete(v.Sites, name)
			}
		}
	}
}

// order puts the lists of a step into the order in which they are merged.
func (s *Step) order() {
	for _, v := range s.Strata {
		v.Casualties = leastOf(v.Casualties, nil, maxCasualties, compareCasualties)
	}
	for _, v := range s.Sites {
		v.Hosts = leastOf(v.Hosts, nil, maxCasualties, strings.Compare)
	}
	for _, v := range s.Versions {
		for _, arm := range v.Strata {
			arm.Casualties = leastOf(arm.Casualties, nil, maxCasualties, compareCasualties)
		}
	}
	s.Hosts = leastOf(s.Hosts, nil, maxHostIncidents, compareIncidents)
}

func appendBounded[T any](to, more []T) []T {
	return append(to, more[:min(len(more), max(maxCasualties-len(to), 0))]...)
}

// leastOf merges two lists into the first so many of both in their order, so
// that what is kept of many does not depend on the order in which they are
// merged.
func leastOf[T any](to, more []T, limit int, compare func(a, b T) int) []T {
	if len(more) == 0 && len(to) <= limit && slices.IsSortedFunc(to, compare) {
		return to
	}
	all := slices.Concat(to, more)
	slices.SortFunc(all, compare)
	return all[:min(len(all), limit)]
}

func compareCasualties(a, b Casualty) int {
	return cmp.Or(strings.Compare(a.Host, b.Host), cmp.Compare(a.Class, b.Class), strings.Compare(a.Site, b.Site), strings.Compare(a.Model, b.Model), cmp.Compare(a.Heard, b.Heard))
}
