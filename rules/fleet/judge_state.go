package fleet

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet/sequential"
)

// fleetFormat begins the bytes of a fleet's state.
const fleetFormat = "edrwatch fleet 2\n"

// AppendSnapshot appends what the judge knows and the steps of gateways that
// it waits with: all that Hear has told. The same state gives the same bytes.
// The shards of this process are not part of it.
func (f *Fleet) AppendSnapshot(to []byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := &coder{b: append(to, fleetFormat...)}
	c.fleet(f)
	return c.b
}

// Restore takes that up. After an error the fleet is as before.
func (f *Fleet) Restore(snapshot []byte) error {
	rest, ok := strings.CutPrefix(string(snapshot), fleetFormat)
	if !ok {
		return errors.New("state of the fleet: expected " + fleetFormat[:len(fleetFormat)-1])
	}
	into := New(f.cfg, f.now)
	c := &coder{b: []byte(rest), size: len(rest), reading: true}
	c.fleet(into)
	if c.err == nil && len(c.b) > 0 {
		c.fail("the end")
	}
	if c.err != nil {
		return c.err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	into.gateways.idle = f.gateways.idle
	f.judge, f.gateways, f.heard = into.judge, into.gateways, into.heard
	return nil
}

func (c *coder) fleet(f *Fleet) {
	c.int64(&f.heard)
	c.int64(&f.gateways.closed)
	members := map[string]*member{}
	for name, m := range f.gateways.members {
		members[name.(string)] = m
	}
	mapOf(c, members, strings.Compare, c.text, func(m **member) {
		if *m == nil {
			*m = &member{}
		}
		seen := (*m).seen.UnixNano()
		c.int64(&(*m).at)
		c.int64(&seen)
		(*m).seen = time.Unix(0, seen)
	})
	mapOf(c, f.gateways.pending, cmp.Compare[int64], c.int64, func(list *[]contribution) { listOf(c, list, c.contribution) })
	if c.reading {
		for name, m := range members {
			f.gateways.members[name] = m
		}
	}
	c.judge(f.judge)
}

func (c *coder) contribution(p *contribution) {
	from, _ := p.from.(string)
	c.text(&from)
	p.from = from
	var value []byte
	if !c.reading {
		value = AppendStep(nil, p.step)
	}
	c.bytes(&value)
	if !c.reading || c.err != nil {
		return
	}
	step, err := ParseStep(value)
	if err != nil {
		c.fail("a step that waits")
		return
	}
	p.step = step
}

func (c *coder) judge(j *Judge) {
	for _, v := range []*int64{&j.began, &j.now, &j.stalled, &j.together} {
		c.int64(v)
	}
	c.int(&j.begun)
	c.bool(&j.blackout)
	mapOf(c, j.versions, compareVersions, c.version, func(v **judgedVersion) { c.judgedVersion(v) })
	for v, jv := range j.versions {
		jv.version = v
	}
	mapOf(c, j.strata, compareStrata, c.stratum, c.judgedStratum)
	mapOf(c, j.alive, compareStrata, c.stratum, c.int)
	mapOf(c, j.cohorts, func(a, b cohortKey) int { return cmp.Or(cmp.Compare(a.product, b.product), cmp.Compare(a.os, b.os)) },
		func(k *cohortKey) { c.text(&k.product); c.text(&k.os) }, c.judgedCohort)
	mapOf(c, j.sites, strings.Compare, c.text, c.judgedSite)
	mapOf(c, j.feeds, strings.Compare, c.text, c.judgedFeed)
}

func (c *coder) version(v *Version) {
	for _, text := range []*string{&v.Product, &v.Kind, &v.Channel, &v.Version} {
		c.text(text)
	}
}

func (c *coder) stratum(s *Stratum) {
	for _, text := range []*string{&s.Product, &s.OS, &s.HostType, &s.Ring} {
		c.text(text)
	}
}

func (c *coder) incident(i *incident) {
	c.bool(&i.firing)
	c.int64(&i.start)
	c.int64(&i.told)
	for _, n := range []*int{&i.reported, &i.findings, &i.quiet} {
		c.int(n)
	}
}

func (c *coder) judgedVersion(v **judgedVersion) {
	if *v == nil {
		*v = newJudgedVersion(Version{}, 0)
	}
	jv := *v
	c.incident(&jv.incident)
	for _, at := range []*int64{&jv.first, &jv.lastExposed, &jv.lastFailed, &jv.firstHarm, &jv.lastStep} {
		c.int64(at)
	}
	c.int(&jv.exposed)
	c.bool(&jv.noControl)
	c.int64(&jv.spread.interval)
	listOf(c, &jv.spread.points, func(p *point) { c.int64(&p.at); c.int(&p.exposed) })
	mapOf(c, jv.rings, strings.Compare, c.text, c.int)
	mapOf(c, jv.ringFirst, strings.Compare, c.text, c.int64)
	mapOf(c, jv.ringSeen, strings.Compare, c.text, c.int64)
	mapOf(c, jv.sites, strings.Compare, c.text, c.int)
	mapOf(c, jv.alive, compareStrata, c.stratum, c.int)
	mapOf(c, jv.failSites, strings.Compare, c.text, c.bool)
	listOf(c, &jv.hosts, c.text)
	for i := range jv.test {
		c.floats(jv.test[i].Bets())
		c.float(&jv.test[i].NewArm)
		c.float(&jv.test[i].Control)
		c.float(&jv.expected[i])
	}
}

func (c *coder) judgedStratum(s **judgedStratum) {
	if *s == nil {
		*s = &judgedStratum{cusum: sequential.NewCUSUM()}
	}
	for _, v := range []*float64{&(*s).hazard.Silences, &(*s).hazard.Seconds, &(*s).prior.Silences, &(*s).prior.Seconds, &(*s).cusum.Sum} {
		c.float(v)
	}
}

func (c *coder) judgedCohort(v **judgedCohort) {
	if *v == nil {
		*v = &judgedCohort{}
	}
	jc := *v
	c.incident(&jc.incident)
	at := jc.at
	windowOf(c, jc.fell[:], &at, c.int)
	at = jc.at
	windowOf(c, jc.expected[:], &at, c.float)
	jc.at = at
	for _, n := range []*int{&jc.silent, &jc.worst, &jc.alive, &jc.recovered} {
		c.int(n)
	}
	listOf(c, &jc.hosts, c.text)
}

func (c *coder) judgedSite(v **judgedSite) {
	if *v == nil {
		*v = &judgedSite{}
	}
	js := *v
	c.incident(&js.incident)
	at := js.at
	windowOf(c, js.fell[:], &at, c.int)
	at = js.at
	windowOf(c, js.names[:], &at, func(names *[]string) { listOf(c, names, c.text) })
	js.at = at
	c.int(&js.silent)
}

func (c *coder) judgedFeed(v **judgedFeed) {
	if *v == nil {
		*v = &judgedFeed{}
	}
	jf := *v
	c.incident(&jf.incident)
	for _, n := range []*int{&jf.steps, &jf.resumed, &jf.turn} {
		c.int(n)
	}
	c.int64(&jf.since)
	c.float(&jf.due)
}
