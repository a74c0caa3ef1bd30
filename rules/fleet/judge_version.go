package fleet

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet/sequential"
)

// judgedVersion is a version whose agents are compared with the others.
type judgedVersion struct {
	incident
	version     Version
	first       int64 // its first exposure
	exposed     int
	lastExposed int64
	spread      progress
	rings       map[string]int
	ringFirst   map[string]int64
	ringSeen    map[string]int64 // for how long the ring's agents with the version had others without it to compare with, nanoseconds
	lastStep    int64
	alone       map[string]*alone // by ring
	sites       map[string]int
	test        [classes + 1]evidence
	expected    [classes + 1]float64 // failures of the new arm if it were like the other
	alive       map[Stratum]int
	lately      map[Stratum]*window // exposures
	modelLately map[string]*window
	models      map[string]int // exposures so far
	hosts       []harmedHost
	failSites   map[string]bool
	lastFailed  int64
	firstHarm   int64
	noControl   bool
}

func newJudgedVersion(v Version, first int64) *judgedVersion {
	return &judgedVersion{
		version: v, first: first, rings: map[string]int{}, ringFirst: map[string]int64{}, ringSeen: map[string]int64{}, sites: map[string]int{}, alive: map[Stratum]int{}, failSites: map[string]bool{},
		lately: map[Stratum]*window{}, modelLately: map[string]*window{}, alone: map[string]*alone{}, models: map[string]int{},
	}
}

// harmedHost is one that failed with a version in some way.
type harmedHost struct {
	name, model string
	class       Class
}

// leastHarmed is the number of failed agents below which no version is
// accused, whatever the test says: what a handful of hosts have in common may
// be something else.
const leastHarmed = 4

// harmOver is the time without a further failure after which a bad version is
// no longer an incident, in steps.
const harmOver = 360

// forgetVersion is for how long a version is remembered after its last
// exposure, in nanoseconds.
const forgetVersion = int64(7 * 24 * 3600e9)

func (j *Judge) takeVersions(s *Step) {
	for _, v := range sortedKeys(s.Versions, compareVersions) {
		step := s.Versions[v]
		jv := j.versions[v]
		if jv == nil {
			jv = newJudgedVersion(v, s.At)
			j.versions[v] = jv
			j.begun++
		}
		j.takeVersion(jv, step, s)
	}
	for _, v := range sortedKeys(j.versions, compareVersions) {
		jv := j.versions[v]
		if _, now := s.Versions[v]; !now || s.At != jv.lastFailed {
			j.settleVersion(jv)
		}
		if !jv.firing && s.At-max(jv.first, jv.lastFailed) > forgetVersion {
			delete(j.versions, v)
		}
	}
}

func (j *Judge) takeVersion(jv *judgedVersion, step *VersionStep, s *Step) {
	jv.exposed += step.Exposed
	if step.Exposed > 0 {
		jv.lastExposed = s.At
		jv.spread.add(s.At, jv.exposed)
	}
	for k, n := range step.Rings {
		if jv.rings[k] == 0 {
			jv.ringFirst[k] = s.At
		}
		jv.rings[k] += n
	}
	for k, n := range step.Sites {
		jv.sites[k] += n
	}
	for key, arm := range step.Strata {
		jv.alive[key] = arm.Alive
	}
	for name, arm := range step.Models {
		if arm.Exposed > 0 {
			jv.models[name] += arm.Exposed
		}
	}
	jv.noControl = len(step.Strata) > 0
	j.see(jv, s, step)
	if j.accused(jv) {
		// Agents with the bad version have others as well, which are not to
		// blame for what it does.
		return
	}
	j.compareModels(jv, step, s)
	for _, key := range sortedKeys(step.Strata, compareStrata) {
		arm := step.Strata[key]
		all := s.Strata[key]
		recent := of(jv.lately, key).add(s.At, arm.Exposed)
		if all == nil {
			continue
		}
		r := share(arm.Alive, arm.Fell, all.Alive, all.Fell)
		early := share(min(recent, arm.Alive), arm.Early[Silence], all.Alive, all.Fell)
		if r < noControlShare {
			jv.noControl = false
		}
		for c := range classes + 1 {
			fresh := arm.Failures[c]
			control := max(all.Failures[c]-fresh, 0)
			test := &jv.test[c]
			test.Observe(fresh, control, r)
			if isServer(key.HostType) {
				test.servers.Observe(fresh, control, r)
			}
			if c != Silence || isServer(key.HostType) {
				// Laptops that wake get what is new, and soon sleep again.
				test.early.Observe(arm.Early[c], max(all.Failures[c]-arm.Early[c], 0), early)
			}
			jv.expected[c] += r * float64(fresh+control)
			if fresh > 0 {
				jv.lastFailed, jv.quiet = s.At, 0
				if jv.firstHarm == 0 {
					jv.firstHarm = s.At
				}
			}
		}
		for _, c := range arm.Casualties {
			jv.failSites[c.Site] = true
			jv.note(harmedHost{c.Host, c.Model, c.Class})
		}
	}
	if jv.lastFailed != s.At {
		return
	}
	class, evidence := jv.strongest()
	_, failed := jv.test[class].suspect()
	harmed := jv.harmed(class)
	threshold := j.threshold()
	switch {
	case jv.firing && jv.grown(s.At, harmed):
		j.tellVersion(jv, class, "firing")
	case !jv.firing && failed >= leastHarmed && evidence >= threshold:
		jv.firing, jv.start = true, jv.first
		j.tellVersion(jv, class, "firing")
	}
}

// see adds the time of a step to the rings whose agents with the version have
// others of their kind without it, and to the others that of being alone.
func (j *Judge) see(jv *judgedVersion, s *Step, step *VersionStep) {
	passed := s.At - jv.lastStep
	if jv.lastStep == 0 || passed > maxPassed {
		passed = 0
	}
	jv.lastStep = s.At
	seen := map[string]bool{}
	for key, arm := range step.Strata {
		all := s.Strata[key]
		if all != nil && arm.Alive > 0 && float64(arm.Alive) < noControlShare*float64(all.Alive) && !seen[key.Ring] {
			seen[key.Ring] = true
			jv.ringSeen[key.Ring] += passed
		}
	}
	if !j.accused(jv) { // what another version does is not held against this one
		j.watchAlone(jv, step, passed, seen)
	}
}

// maxPassed bounds the time between two steps that both saw a version: over a
// longer gap nothing was compared.
const maxPassed = int64(time.Minute)

// accused reports whether an incident of another version of the product is open.
func (j *Judge) accused(jv *judgedVersion) bool {
	return !jv.firing && j.harming(jv.version.Product)
}

// harming reports whether an incident of a version of the product is open.
func (j *Judge) harming(product string) bool {
	for v, jv := range j.versions {
		if jv.firing && v.Product == product {
			return true
		}
	}
	return false
}

// threshold is the evidence that it takes to accuse a version: the false alarms
// of a year spread over the versions of a year and the ways to fail.
func (j *Judge) threshold() float64 {
	const day = 24 * 3600e9
	days := max(float64(j.now-j.began)/day, 1)
	perYear := max(j.cfg.RolloutsPerYear, float64(j.begun)/days*365)
	return sequential.Threshold(perYear, j.cfg.FalseAlarmsPerYear) + math.Log(float64(classes+1))
}

// noControlShare is the share of a stratum that has the version from which on
// there is next to nobody left to compare with.
const noControlShare = 0.98

// settleVersion ends the incident of a version after which nothing fails any
// more.
func (j *Judge) settleVersion(jv *judgedVersion) {
	if !jv.firing {
		return
	}
	if jv.quiet++; jv.quiet < harmOver {
		return
	}
	jv.firing = false
	class, _ := jv.strongest()
	j.tellVersion(jv, class, "resolved")
}

// harmed is how many agents failed with the version: in the way that most did,
// or, where it fails on one model of hardware alone, those of that model in
// the way in which it stands out.
func (jv *judgedVersion) harmed(c Class) int {
	if model, _ := jv.test[c].suspect(); model != "" {
		return int(jv.test[c].models[model].whole.NewArm)
	}
	n := 0.0
	for c := range classes + 1 {
		n = max(n, jv.test[c].NewArm)
	}
	return int(n)
}

// strongest returns the class with the strongest evidence, and the logarithm of
// what all of them say together: the sum of their values, against which the
// threshold holds that is meant for their mean.
func (jv *judgedVersion) strongest() (Class, float64) {
	var logs [classes + 1]float64
	at := Class(0)
	for c := range classes + 1 {
		if logs[c] = jv.test[c].Log(); logs[c] > logs[at] {
			at = c
		}
	}
	sum := 0.0
	for _, l := range logs {
		sum += math.Exp(l - logs[at])
	}
	return at, logs[at] + math.Log(sum)
}

// atRisk is how many agents that live have the version.
func (jv *judgedVersion) atRisk() int {
	n := 0
	for _, alive := range jv.alive {
		n += alive
	}
	return n
}

// ratio estimates how many times as often the agents with the version fail.
func (jv *judgedVersion) ratio(c Class) float64 {
	fresh, control := jv.test[c].NewArm, jv.test[c].Control
	total := fresh + control
	if total == 0 {
		return 1
	}
	r := jv.expected[c] / total
	return (fresh / max(r, 1e-9)) / ((control + 0.5) / max(1-r, 1e-9))
}

// interval is the 95 % interval of the ratio, taken as if the share of those at
// risk had always been its mean; a limit that the failures do not set is left out.
func (jv *judgedVersion) interval(c Class) []Evidence {
	fresh, control := jv.test[c].NewArm, jv.test[c].Control
	_, low, high := sequential.RateRatio(int(fresh), int(control), jv.expected[c]/max(fresh+control, 1), 0.05)
	var limits []Evidence
	if low > 0 {
		limits = append(limits, Evidence{Name: "rate_ratio_low", Number: low})
	}
	if !math.IsInf(high, 1) {
		limits = append(limits, Evidence{Name: "rate_ratio_high", Number: high})
	}
	return limits
}

// what names the version.
func (jv *judgedVersion) what() string {
	v := jv.version
	if v.Kind == Content {
		return "content " + strings.TrimPrefix(v.Channel+" ", " ") + v.Version
	}
	return "sensor " + v.Version
}

// key is what an incident about the version is known by.
func (jv *judgedVersion) key() string { return jv.version.Product + "/" + jv.what() }

func (j *Judge) tellVersion(jv *judgedVersion, c Class, status string) {
	v := jv.version
	harmed := jv.harmed(c)
	number := jv.tell(j.now, harmed)
	what := jv.what()
	ratio := jv.ratio(c)
	model, hosts := jv.suspects(c)
	exposed, which := jv.exposed, "agents of "+v.Product
	times := fmt.Sprintf(", %.0f times as often as those without it", ratio)
	if model != "" {
		exposed, which, times = jv.models[model], model+" with "+v.Product, "; other models do not stand out"
	}
	reason := fmt.Sprintf("%d of %d %s that got %s failed (%s)%s", harmed, exposed, which, what, c, times)
	if status == "resolved" {
		reason = fmt.Sprintf("no further failures of %s with %s for an hour; %d of %d failed", which, what, harmed, exposed)
	}
	verdict := "rollback"
	if status == "resolved" {
		verdict = "hold"
	}
	f := Finding{
		Kind: "bad_rollout", Scope: "fleet", Status: status, Key: jv.key(), At: j.now, Number: number, Start: jv.start,
		Count: harmed, Denominator: max(exposed, harmed), Hosts: hosts, Product: v.Product, Channel: v.Channel, Verdict: verdict, Reason: reason,
		Evidence: []Evidence{
			{Name: "verdict", Text: verdict}, {Name: "version", Text: v.Version}, {Name: "version_kind", Text: v.Kind}, {Name: "failure", Text: c.String()},
			{Name: "first_exposed", Number: float64(jv.first / 1e9)}, {Name: "log_e", Number: jv.test[c].Log()}, {Name: "rate_ratio", Number: ratio},
			{Name: "failed_with", Number: jv.test[c].NewArm}, {Name: "failed_without", Number: jv.test[c].Control},
			{Name: "expected_with", Number: jv.expected[c]}, {Name: "exposed", Number: float64(jv.exposed)}, {Name: "at_risk", Number: float64(jv.atRisk())},
			{Name: "sites_harmed", Number: float64(len(jv.failSites))}, {Name: "sites_exposed", Number: float64(len(jv.sites))},
		},
	}
	if v.Kind == Sensor {
		f.Sensor = v.Version
	} else {
		f.Content = v.Version
		f.Evidence = append(f.Evidence, Evidence{Name: "channel", Text: v.Channel})
	}
	for key := range jv.alive {
		if f.OS == "" || key.OS == f.OS {
			f.OS = key.OS
		} else {
			f.OS = "several"
			break
		}
	}
	if f.OS == "several" {
		f.OS = ""
	}
	f.Evidence = append(f.Evidence, jv.interval(c)...)
	if model != "" {
		f.Evidence = append(f.Evidence, Evidence{Name: "model", Text: model})
	}
	if jv.noControl {
		f.Evidence = append(f.Evidence, Evidence{Name: "control", Text: "nobody is left without the version; only silence can be judged"})
	}
	j.findings = append(j.findings, f)
}

// mostHarmed bounds the hosts that are known to have failed in one way.
const mostHarmed = 128

func (jv *judgedVersion) note(h harmedHost) {
	same := 0
	for _, known := range jv.hosts {
		if known == h {
			return
		}
		if known.class == h.class {
			same++
		}
	}
	if same < mostHarmed {
		jv.hosts = append(jv.hosts, h)
	}
}

// suspects returns the model of hardware on which the version fails in that way,
// "" where it is not one alone, and the hosts that did, as many as are known.
func (jv *judgedVersion) suspects(c Class) (model string, hosts []string) {
	model, _ = jv.test[c].suspect()
	for _, h := range jv.hosts {
		if (model == "" || h.model == model) && (c == anyFailure || h.class == c) && !slices.Contains(hosts, h.name) {
			hosts = append(hosts, h.name)
		}
	}
	return model, hosts[:min(len(hosts), maxCasualties)]
}
