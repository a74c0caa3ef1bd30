package fleet

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet/sequential"
)

// cohortKey is what mass silence is told about.
type cohortKey struct{ product, os string }

// judgedStratum judges the silence of one stratum.
type judgedStratum struct {
	hazard sequential.Hazard
	prior  sequential.Hazard
	cusum  sequential.CUSUM
}

// judgedCohort is the incident over the strata of a product and OS.
type judgedCohort struct {
	incident
	fell      [silenceSteps]int // newly silent in the last steps, without those that are back
	expected  [silenceSteps]float64
	at        int
	silent    int // of the incident
	worst     int
	hosts     []string
	alive     int
	recovered int
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

// leastSilent bounds a mass silence from below: fewer agents are told of one by
// one.
const leastSilent = 8

func (j *Judge) takeStrata(s *Step, settled bool) {
	seconds := float64(StepLength) / 1e9
	if j.stalled != 0 && s.At-j.stalled < afterStall {
		settled = false // What was missing because of a feed comes back by and by.
	}
	alarm := map[cohortKey]bool{}
	usual := map[cohortKey]float64{}
	servers := map[cohortKey]int{}
	fell := map[cohortKey]int{}
	returned := map[cohortKey]int{}
	alive := map[cohortKey]int{}
	hosts := map[cohortKey][]string{}
	for _, key := range sortedKeys(s.Strata, compareStrata) {
		st := s.Strata[key]
		cohort := cohortKey{key.Product, key.OS}
		js := j.strata[key]
		if js == nil {
			mean := float64(sleeperSleeps)
			if isServer(key.HostType) {
				mean = serverSilence
			}
			js = &judgedStratum{hazard: sequential.NewHazard(mean), prior: sequential.NewHazard(mean), cusum: sequential.NewCUSUM()}
			j.strata[key] = js
		}
		d, n := float64(st.Fell), float64(st.Alive)
		expected := js.hazard.Expect(n, seconds)
		usual[cohort] += expected
		if isServer(key.HostType) {
			servers[cohort] += st.Alive
		}
		if !isServer(key.HostType) {
			// A quiet night says nothing about the hour in which the office closes.
			expected = max(expected, js.prior.Expect(n, seconds))
		}
		if settled && js.cusum.Step(d, expected) {
			alarm[cohort] = true
		}
		if settled {
			js.hazard.Learn(d, n, seconds)
		}
		fell[cohort] += st.Fell
		returned[cohort] += st.Returned
		alive[cohort] += st.Alive
		for _, c := range st.Casualties {
			if !j.SiteDark(c.Site) {
				hosts[cohort] = appendBounded(hosts[cohort], []string{c.Host})
			}
		}
	}
	for _, key := range sortedKeys(alive, func(a, b cohortKey) int { return cmp.Or(cmp.Compare(a.product, b.product), cmp.Compare(a.os, b.os)) }) {
		c := of(j.cohorts, key)
		c.alive = alive[key]
		least, share := sleeperLeast, sleeperShare
		if servers[key]*2 > alive[key] {
			least, share = serverLeast, serverShare
		}
		c.at = (c.at + 1) % silenceSteps
		c.fell[c.at], c.expected[c.at] = fell[key]-returned[key], usual[key]
		j.takeCohort(key, c, fell[key], returned[key], hosts[key], settled && ((alarm[key] || j.harming(key.product)) && c.collapsed(least) || c.collapsed(share)))
	}
}

func (j *Judge) takeCohort(key cohortKey, c *judgedCohort, fell, returned int, hosts []string, alarm bool) {
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
		j.tellCohort(key, c, "firing", fmt.Sprintf("%d of %d agents of %s on %s fell silent within minutes", recent, c.alive+recent, key.product, key.os))
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
		c.hosts, c.fell = nil, [silenceSteps]int{}
		for k, js := range j.strata {
			if k.Product == key.product && k.OS == key.os {
				js.cusum.Sum = 0
			}
		}
	case c.grown(j.now, c.silent):
		j.tellCohort(key, c, "firing", fmt.Sprintf("%d of %d agents of %s on %s are silent, after %d at the last report", c.silent, c.alive+c.silent, key.product, key.os, c.reported))
	}
}

// Shares of a cohort whose silence within silenceSteps is an incident: the
// least where the cumulative sum alarms, the other whatever it says, because it
// is slow in cohorts of a hundred. Who is back after one beat that got lost, or
// late, does not count. Offices send laptops to sleep together.
const (
	serverLeast  = 0.03
	sleeperLeast = 0.08
	serverShare  = 0.25
	sleeperShare = 0.30
)

func (c *judgedCohort) recent() int {
	n := 0
	for _, fell := range c.fell {
		n += fell
	}
	return n
}

// collapsed reports whether a share of the cohort fell silent that chance does
// not explain: the cumulative sum is slow in cohorts of a hundred.
func (c *judgedCohort) collapsed(share float64) bool {
	recent, usual := float64(max(c.recent(), 0)), 0.0
	for _, e := range c.expected {
		usual += e
	}
	return recent >= share*(recent+float64(c.alive)) && recent >= 4*usual+6*math.Sqrt(usual+1)
}

func (j *Judge) tellCohort(key cohortKey, c *judgedCohort, status, reason string) {
	number := c.tell(j.now, c.silent)
	f := Finding{
		Kind: "mass_silence", Scope: "cohort", Status: status, Key: key.product + "/" + key.os, At: j.now, Number: number, Start: c.start,
		Count: c.silent, Denominator: c.alive + c.silent, Hosts: slices.Clone(c.hosts), Product: key.product, OS: key.os, Reason: reason,
		Evidence: []Evidence{{Name: "cohort", Text: key.product + "/" + key.os}, {Name: "worst", Number: float64(c.worst)}},
	}
	if suspect := j.suspect(key); suspect != nil {
		class, l := suspect.strongest()
		f.Evidence = append(f.Evidence, Evidence{Name: "suspect_version", Text: suspect.version.Version}, Evidence{Name: "suspect_kind", Text: suspect.version.Kind}, Evidence{Name: "suspect_channel", Text: suspect.version.Channel},
			Evidence{Name: "suspect_log_e", Number: l}, Evidence{Name: "suspect_failure", Text: class.String()})
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
		if _, l := j.versions[v].strongest(); v.Product == key.product && l > least {
			best, least = j.versions[v], l
		}
	}
	return best
}
