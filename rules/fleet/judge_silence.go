package fleet

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet/sequential"
)

// cohortKey is what mass silence is reported for.
type cohortKey struct{ product, os string }

// judgedCohort is the incident over the strata of a product and OS.
type judgedCohort struct {
	incident
	kinds     [kinds]lately
	silent    int // of the incident
	worst     int
	hosts     []string
	recovered int
}

// Kinds of agents in a cohort: offices send laptops to sleep together, servers
// do not sleep.
const (
	ofServers = iota
	ofSleepers
	kinds
)

func kindOf(hostType string) int {
	if isServer(hostType) {
		return ofServers
	}
	return ofSleepers
}

// lately is what the agents of one kind did in the last steps.
type lately struct {
	alive    int
	fell     [silenceSteps]int // without those that are back
	gross    [silenceSteps]int // with them
	expected [silenceSteps]float64
	at       int
}

// afterStall is the time after a feed stalled in which no cohort is judged.
const afterStall = int64(15 * time.Minute)

// silenceSteps is the number of steps whose silences belong to one incident
// when it is found.
const silenceSteps = 60

// Mean time between silences without a goodbye of an agent, in seconds, before
// anything is known: servers never sleep, everything else may.
const (
	serverSilence = 14 * 86400
	sleeperSleeps = 2 * 3600
)

func isServer(hostType string) bool { return hostType == "server" || hostType == "domain-controller" }

// leastSilent bounds a mass silence from below: fewer agents are reported one by
// one.
const leastSilent = 8

func (j *Judge) takeStrata(s *Step, settled bool) {
	seconds := float64(StepLength) / 1e9
	if j.stalled != 0 && s.At-j.stalled < afterStall {
		settled = false // What was missing because of a feed comes back by and by.
	}
	now := map[cohortKey]*cohortStep{}
	for _, key := range sortedKeys(s.Strata, compareStrata) {
		st := s.Strata[key]
		cohort := cohortKey{key.Product, key.OS}
		js := j.strata[key]
		if js == nil {
			js = newSilence(key)
			j.strata[key] = js
		}
		d, n := float64(st.Fell), float64(st.Alive)
		to := of(now, cohort)
		kind := &to.kinds[kindOf(key.HostType)]
		kind.expected += js.Lately(s.At, n, seconds)
		kind.alive += st.Alive
		kind.fell += st.Fell
		kind.returned += st.Returned
		if settled && js.CUSUM.Step(d, js.Expect(s.At, n, seconds)) {
			kind.alarm = true
		}
		if settled && !j.upset(cohort) {
			js.Learn(s.At, d, n, seconds)
		}
		for _, c := range st.Casualties {
			if !j.SiteDark(c.Site) {
				to.hosts = appendBounded(to.hosts, []string{c.Host})
			}
		}
	}
	for _, key := range sortedKeys(now, func(a, b cohortKey) int { return cmp.Or(cmp.Compare(a.product, b.product), cmp.Compare(a.os, b.os)) }) {
		c, step := of(j.cohorts, key), now[key]
		alarm := false
		for i := range c.kinds {
			c.kinds[i].take(&step.kinds[i])
			alarm = alarm || step.kinds[i].alarm
		}
		found := c.collapsed(alarm, j.harming(key.product)) || step.kinds[ofServers].alarm && c.kinds[ofServers].evidently()
		j.takeCohort(key, c, step, settled && found)
	}
}

// cohortStep sums up the strata of a cohort in one step.
type cohortStep struct {
	kinds [kinds]kindStep
	hosts []string
}

type kindStep struct {
	alive, fell, returned int
	expected              float64
	alarm                 bool // the sum of a stratum is over its threshold
}

// newSilence knows only what kind of agents a stratum has.
func newSilence(key Stratum) *sequential.Silence {
	s := sequential.NewSilence(sleeperSleeps, true)
	if isServer(key.HostType) {
		s = sequential.NewSilence(serverSilence, false)
	}
	return &s
}

// upsetFor bounds the time for which an incident keeps what is usual from
// being learned.
const upsetFor = int64(24 * time.Hour)

// upset reports whether an incident of the cohort is so new that what happens
// now is not what usually does.
func (j *Judge) upset(key cohortKey) bool {
	c := j.cohorts[key]
	return c != nil && c.firing && j.now-c.start < upsetFor || j.harming(key.product)
}

func (j *Judge) takeCohort(key cohortKey, c *judgedCohort, step *cohortStep, alarm bool) {
	fell, returned := step.kinds[ofServers].fell+step.kinds[ofSleepers].fell, step.kinds[ofServers].returned+step.kinds[ofSleepers].returned
	hosts := step.hosts
	if !c.firing {
		c.hosts = append(c.hosts, hosts...)
		if over := len(c.hosts) - maxCasualties; over > 0 {
			c.hosts = c.hosts[over:]
		}
		recent := c.recent()
		if !alarm || recent < leastSilent {
			return
		}
		c.firing, c.start, c.silent, c.worst, c.recovered = true, j.now, recent, recent, 0
		c.hosts = c.hosts[max(len(c.hosts)-recent, 0):]
		j.tellCohort(key, c, "firing", fmt.Sprintf("%d of %d agents of %s on %s fell silent within minutes", recent, c.alive()+recent, key.product, key.os))
		return
	}
	c.hosts = appendBounded(c.hosts, hosts)
	c.silent = max(c.silent+fell-returned, 0)
	c.worst = max(c.worst, c.silent)
	if c.silent*2 < c.worst {
		c.quiet++
	} else {
		c.quiet = 0
	}
	switch {
	case c.quiet > 6 || c.silent == 0:
		c.firing = false
		j.tellCohort(key, c, "resolved", fmt.Sprintf("%d agents of %s on %s are still silent, after %d at the worst", c.silent, key.product, key.os, c.worst))
		c.hosts, c.kinds = nil, [kinds]lately{}
		for k, js := range j.strata {
			if k.Product == key.product && k.OS == key.os {
				js.CUSUM.Sum = 0
			}
		}
	case c.grown(j.now, c.silent):
		j.tellCohort(key, c, "firing", fmt.Sprintf("%d of %d agents of %s on %s are silent, after %d at the last report", c.silent, c.alive()+c.silent, key.product, key.os, c.reported))
	}
}

// bounds are the shares of the agents of a kind whose silence within
// silenceSteps is an incident. Least is where the cumulative sum alarms, or
// a version is accused; great whatever they say, because the sum is slow in
// cohorts of a hundred. Who is back after one beat that got lost, or late, does
// not count.
type bounds struct{ least, great float64 }

func boundsOf(kind int) bounds {
	if kind == ofServers {
		return bounds{least: 0.03, great: 0.25}
	}
	return bounds{least: 0.08, great: 0.30}
}

// evident is the share of many servers that is enough where the sum alarms,
// beside what chance makes of so many that come and go.
const evident = 0.01

func (l *lately) take(step *kindStep) {
	l.at = (l.at + 1) % silenceSteps
	l.alive = step.alive
	l.fell[l.at], l.gross[l.at], l.expected[l.at] = step.fell-step.returned, step.fell, step.expected
}

// evidently reports whether so many servers fell silent that they are alerted
// on where the sum alarms.
func (l *lately) evidently() bool {
	fell, gross := 0, 0
	for i := range l.fell {
		fell, gross = fell+l.fell[i], gross+l.gross[i]
	}
	recent := float64(max(fell, 0))
	return recent >= evident*(recent+float64(l.alive))+6*math.Sqrt(float64(gross)) && fell > 0
}

// collapsed reports whether so much of the cohort fell silent that it is alerted
// on, and chance does not explain it.
func (c *judgedCohort) collapsed(alarm, harming bool) bool {
	kind, usual := ofSleepers, 0.0
	if c.kinds[ofServers].alive > c.kinds[ofSleepers].alive {
		kind = ofServers
	}
	for i := range c.kinds {
		for _, e := range c.kinds[i].expected {
			usual += e
		}
	}
	share := boundsOf(kind).great
	if alarm || harming {
		share = boundsOf(kind).least
	}
	recent := float64(max(c.recent(), 0))
	return recent >= share*(recent+float64(c.alive())) && recent >= 4*usual+6*math.Sqrt(usual+1)
}

func (l *lately) recent() int {
	n := 0
	for _, fell := range l.fell {
		n += fell
	}
	return n
}

func (c *judgedCohort) recent() int {
	return c.kinds[ofServers].recent() + c.kinds[ofSleepers].recent()
}
func (c *judgedCohort) alive() int { return c.kinds[ofServers].alive + c.kinds[ofSleepers].alive }

func (j *Judge) tellCohort(key cohortKey, c *judgedCohort, status, reason string) {
	number := c.tell(j.now, c.silent)
	f := Finding{
		Kind: "mass_silence", Scope: "cohort", Status: status, Key: key.product + "/" + key.os, At: j.now, Number: number, Start: c.start,
		Count: c.silent, Denominator: c.alive() + c.silent, Hosts: slices.Clone(c.hosts), Product: key.product, OS: key.os, Reason: reason,
		Evidence: []Evidence{{Name: "cohort", Text: key.product + "/" + key.os}, {Name: "worst", Number: float64(c.worst)}},
	}
	if suspect := j.suspect(key); suspect != nil {
		class, _ := suspect.strongest()
		f.Evidence = append(f.Evidence, Evidence{Name: "suspect_version", Text: suspect.version.Version}, Evidence{Name: "suspect_kind", Text: suspect.version.Kind}, Evidence{Name: "suspect_channel", Text: suspect.version.Channel},
			Evidence{Name: "suspect_log_e", Number: suspect.test[class].Log()}, Evidence{Name: "suspect_failure", Text: class.String()})
		f.Reason += "; suspect: " + suspect.version.Kind + " " + suspect.version.Channel + " " + suspect.version.Version
	}
	j.findings = append(j.findings, f)
}

// suspect returns the version of a product with the strongest evidence, where
// there is any worth the name.
func (j *Judge) suspect(key cohortKey) *judgedVersion {
	var best *judgedVersion
	least := 3.0 // e to the third: twenty to one
	for _, v := range sortedKeys(j.versions, compareVersions) {
		class, _ := j.versions[v].strongest()
		if l := j.versions[v].test[class].Log(); v.Product == key.product && l > least {
			best, least = j.versions[v], l
		}
	}
	return best
}
