package fleet

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Rollout is what is known of a version that agents get: how far it is, how
// those that have it fare, and the verdict. It is a copy.
type Rollout struct {
	Product string `json:"product"` // agent.type
	Kind    string `json:"kind"`    // sensor or content
	Channel string `json:"channel,omitempty"`
	Version string `json:"version"`

	At            time.Time  `json:"at"` // the clock of the fleet when it was judged last
	FirstExposure time.Time  `json:"first_exposure"`
	LastExposure  time.Time  `json:"last_exposure"`
	Exposed       int        `json:"exposed"`         // agents that got it while the fleet was watched
	AtRisk        int        `json:"at_risk"`         // agents alive that have it
	Fleet         int        `json:"fleet"`           // agents of the product alive
	Rings         []Ring     `json:"rings"`           // in the order of their first exposure
	OS            []Share    `json:"os"`              // of those at risk
	HostTypes     []Share    `json:"host_types"`      // of those at risk
	Models        []Share    `json:"models"`          // of hardware, of those exposed while the fleet was watched
	Sites         int        `json:"sites"`           // distinct ones of those exposed
	SitesHarmed   int        `json:"sites_harmed"`    // distinct ones of those harmed
	Progress      []Progress `json:"progress"`        // exposures over time
	Comparison    []Compared `json:"comparison"`      // by way to fail
	Harmed        int        `json:"harmed"`          // agents that failed with it, in the way that most did, the usual failures included
	HarmedHosts   []string   `json:"harmed_hosts"`    // of Harmed, as many as are known
	Model         string     `json:"model,omitempty"` // of hardware that fails where it is one alone
	FirstHarm     *time.Time `json:"first_harm"`      // first failure with it; null: it was never accused, the failures are the usual ones
	Alarm         float64    `json:"alarm_log_e"`     // the evidence that an accusation takes
	ControlGone   bool       `json:"control_gone"`    // nobody is left without it: only silence is judged
	Conformance   SDP        `json:"conformance"`     // with safe deployment practice
	Verdict       Verdict    `json:"verdict"`         // continue, hold or rollback
	Reasons       []Reason   `json:"reasons"`         // of the verdict; empty for continue
	Caveats       []string   `json:"caveats"`         // what continue rests on where agents could not be compared
	CurrentRing   string     `json:"current_ring"`    // the last ring, in the policy's order, that it has reached
	AlertKey      string     `json:"alert_key"`       // edr.alert.key of a bad_rollout about it
	accused       bool       // a bad_rollout is open
	wasAccused    bool       // or was
	shadowed      bool       // another version of the product is accused
	settled       bool       // the fleet was watched long enough
	blind         []string   // feeds that stand still
	dark          []string   // sites with the version about which there is an incident
	evidence      float64    // the strongest log e
	failure       Class      // and its way to fail
	ringFirst     map[string]int64
	ringExposed   map[string]int
	ringSeen      map[string]int64
	ringBefore    map[string]Before
	silenced      []string // cohorts of the product that fell silent at once since the latest ring got it
}

// Fits reports whether the rollout is of what is named; "" is any.
func (r *Rollout) Fits(product, kind, channel, version string) bool {
	fits := func(want, have string) bool { return want == "" || want == have }
	return fits(product, r.Product) && fits(kind, r.Kind) && fits(channel, r.Channel) && fits(version, r.Version)
}

// Ring is how far a version is in an update ring.
type Ring struct {
	Name          string    `json:"name"` // "" for agents without a ring
	Exposed       int       `json:"exposed"`
	AtRisk        int       `json:"at_risk"`
	FirstExposure time.Time `json:"first_exposure"`
	// Compared is how long its agents with the version had others of the same ring, OS and type of host to be compared with, in seconds.
	Compared float64 `json:"compared_seconds"`
	// Before sets them against the ring before it got the version.
	Before Before `json:"before"`
	// Soaked is how long it had the version before the next ring got it, or has it so far, in seconds; Soak is what the policy asks for.
	Soaked float64 `json:"soaked_seconds"`
	Soak   float64 `json:"soak_seconds"`
	// SoakKept is false when the next ring got it earlier than the policy allows.
	SoakKept bool `json:"soak_kept"`
}

// Share is a part of the agents.
type Share struct {
	Name   string `json:"name"`
	Agents int    `json:"agents"`
}

// Progress is a point of the curve of exposures.
type Progress struct {
	At      time.Time `json:"at"`
	Exposed int       `json:"exposed"`
}

// Compared sets the agents with a version against those without, in one way to
// fail.
type Compared struct {
	Failure  string   `json:"failure"`
	With     int      `json:"with"`     // failures of agents that have it
	Without  int      `json:"without"`  // of the others
	Expected float64  `json:"expected"` // of With, if it made no difference
	Ratio    *float64 `json:"rate_ratio"`
	Low      *float64 `json:"rate_ratio_low"`  // 95 % interval; null: the failures do not set it
	High     *float64 `json:"rate_ratio_high"` // likewise
	LogE     float64  `json:"log_e"`           // natural logarithm of the e-value
}

// Rollouts returns what is known of every version that agents get, the one
// with the latest exposure first.
func (f *Fleet) Rollouts(p Policy) []Rollout {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]Rollout, 0, len(f.judge.versions))
	for _, v := range sortedKeys(f.judge.versions, compareVersions) {
		r := f.judge.report(f.judge.versions[v])
		p.judge(&r)
		list = append(list, r)
	}
	slices.SortStableFunc(list, func(a, b Rollout) int { return b.LastExposure.Compare(a.LastExposure) })
	return list
}

func clock(at int64) time.Time { return time.Unix(0, at).UTC() }

func (j *Judge) report(jv *judgedVersion) Rollout {
	v := jv.version
	r := Rollout{
		Product: v.Product, Kind: v.Kind, Channel: v.Channel, Version: v.Version, At: clock(j.now), FirstExposure: clock(jv.first),
		LastExposure: clock(max(jv.lastExposed, jv.first)), Exposed: jv.exposed, AtRisk: jv.atRisk(), Sites: len(jv.sites), SitesHarmed: len(jv.failSites),
		HarmedHosts: jv.harmedHosts(), Alarm: j.threshold(), ControlGone: jv.noControl, AlertKey: jv.key(),
		accused: jv.firing, wasAccused: jv.start != 0, shadowed: j.accused(jv), settled: j.now-j.began >= int64(j.cfg.Settle), blind: j.stalledFeeds(),
		ringFirst: jv.ringFirst, ringExposed: jv.rings, ringSeen: jv.ringSeen, ringBefore: map[string]Before{}, silenced: j.silencedSince(v.Product, jv.first), dark: j.darkSites(jv),
	}
	for key, n := range j.alive {
		if key.Product == v.Product {
			r.Fleet += n
		}
	}
	os, types, rings := map[string]int{}, map[string]int{}, map[string]int{}
	for key, n := range jv.alive {
		os[key.OS] += n
		types[key.HostType] += n
		rings[key.Ring] += n
	}
	r.OS, r.HostTypes = shares(os), shares(types)
	for name, a := range jv.alone {
		r.ringBefore[name] = a.report()
	}
	for name, n := range jv.rings {
		r.Rings = append(r.Rings, Ring{Name: name, Exposed: n, AtRisk: rings[name], FirstExposure: clock(jv.ringFirst[name]), Compared: time.Duration(jv.ringSeen[name]).Seconds(), Before: r.ringBefore[name]})
	}
	slices.SortFunc(r.Rings, func(a, b Ring) int {
		return cmp.Or(a.FirstExposure.Compare(b.FirstExposure), strings.Compare(a.Name, b.Name))
	})
	for _, x := range jv.spread.points {
		r.Progress = append(r.Progress, Progress{clock(x.at), x.exposed})
	}
	if r.wasAccused {
		t := clock(jv.firstHarm)
		r.FirstHarm = &t
	}
	r.failure, r.evidence = jv.strongest()
	r.Harmed = jv.harmed(r.failure)
	r.Model, _ = jv.test[r.failure].suspect()
	if !r.wasAccused {
		r.Model = ""
	}
	r.Models = shares(jv.models)
	for c := range classes + 1 {
		r.Comparison = append(r.Comparison, jv.compared(c))
	}
	r.Conformance = jv.conformance(r.Fleet, j.now)
	return r
}

func (jv *judgedVersion) compared(c Class) Compared {
	t := &jv.test[c]
	x := Compared{Failure: c.String(), With: int(t.NewArm), Without: int(t.Control), Expected: jv.expected[c], LogE: t.Log()}
	if t.NewArm+t.Control == 0 {
		return x
	}
	ratio := jv.ratio(c)
	x.Ratio = &ratio
	for _, limit := range jv.interval(c) {
		n := limit.Number
		if limit.Name == "rate_ratio_low" {
			x.Low = &n
		} else {
			x.High = &n
		}
	}
	return x
}

func shares(counts map[string]int) []Share {
	list := []Share{}
	for name, n := range counts {
		if n > 0 {
			list = append(list, Share{name, n})
		}
	}
	slices.SortFunc(list, func(a, b Share) int { return cmp.Or(b.Agents-a.Agents, strings.Compare(a.Name, b.Name)) })
	return list
}

// darkSites are the sites with agents that got the version that went dark.
func (j *Judge) darkSites(jv *judgedVersion) []string {
	var list []string
	for _, name := range sortedKeys(j.sites, strings.Compare) {
		if j.sites[name].firing && jv.sites[name] > 0 {
			list = append(list, name)
		}
	}
	return list
}

// stalledFeeds are the feeds about which there is an incident.
func (j *Judge) stalledFeeds() []string {
	var list []string
	for _, name := range sortedKeys(j.feeds, strings.Compare) {
		if j.feeds[name].firing {
			list = append(list, name)
		}
	}
	return list
}

// harmedHosts are the names of those that failed, as many as are known.
func (jv *judgedVersion) harmedHosts() []string {
	list := make([]string, 0, len(jv.hosts))
	for _, h := range jv.hosts {
		if !slices.Contains(list, h.name) {
			list = append(list, h.name)
		}
	}
	return list
}
