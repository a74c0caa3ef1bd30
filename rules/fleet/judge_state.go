package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/rules/fleet/sequential"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

// fleetFormat begins the bytes of a fleet's state.
const (
	fleetFormat    = "edrwatch fleet 8\n"
	oldFleetFormat = "edrwatch fleet 7\n" // Without what rules about the whole fleet know.
)

// AppendSnapshot appends what the judge knows, where every partition is and the
// steps that are not closed. The same state gives the same bytes. The shards of
// this process are not part of it.
func (f *Fleet) AppendSnapshot(to []byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return snapshot.Append(append(to, fleetFormat...), func(c *snapshot.Codec) {
		persistFleet(c, f)
		f.persistAcross(c)
	})
}

// Restore reads that. After an error the fleet is as before. What earlier
// steps showed to partitions that are read again is not kept: they see what was
// known when the state was written.
func (f *Fleet) Restore(kept []byte) error {
	rest, ok := strings.CutPrefix(string(kept), fleetFormat)
	before, old := strings.CutPrefix(string(kept), oldFleetFormat)
	if old {
		rest = before
	}
	if !ok && !old {
		return errors.New("state of the fleet: expected " + fleetFormat[:len(fleetFormat)-1])
	}
	into := New(f.cfg, f.now)
	if err := snapshot.Read("fleet", 0, []byte(rest), func(c *snapshot.Codec) {
		if persistFleet(c, into); !old {
			into.persistAcross(c)
		}
	}); err != nil {
		return fmt.Errorf("state of the fleet: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(into.keptAcross) > 0 {
		if err := f.restoreAcross(into.keptAcross); err != nil {
			return err
		}
	}
	f.judge, f.collect, f.views = into.judge, into.collect, views{}
	if f.collect.closed > 0 {
		f.views.add(f.judge.view(newStep(f.judge.now), nil))
	}
	return nil
}

func persistFleet(c *snapshot.Codec, f *Fleet) {
	snapshot.Int(c, &f.collect.closed)
	snapshot.Map(c, f.collect.known, strings.Compare, c.Shared, func(m **knownPartition) {
		if *m == nil {
			*m = &knownPartition{}
		}
		snapshot.Int(c, &(*m).at)
		c.Bool(&(*m).skipped)
		some := (*m).last != nil
		if c.Bool(&some); some {
			persistStep(c, "the last step of a partition", &(*m).last)
		}
	})
	snapshot.Map(c, f.collect.pending, cmp.Compare[int64], with(c, snapshot.Int[int64]), func(parts *map[string]Contribution) {
		if *parts == nil {
			*parts = map[string]Contribution{}
		}
		snapshot.Map(c, *parts, strings.Compare, c.Shared, func(p *Contribution) {
			c.Shared(&p.Partition)
			c.Bool(&p.Rebuilt)
			persistStep(c, "a step that waits", &p.Step)
		})
	})
	persistJudge(c, f.judge)
}

func persistJudge(c *snapshot.Codec, j *Judge) {
	for _, v := range []*int64{&j.began, &j.now, &j.stalled, &j.together, &j.minute} {
		snapshot.Int(c, v)
	}
	snapshot.Int(c, &j.begun)
	snapshot.Int(c, &j.lost)
	c.Bool(&j.blackout)
	snapshot.Map(c, j.versions, compareVersions, with(c, persistVersion), func(v **judgedVersion) { persistJudgedVersion(c, v) })
	for v, jv := range j.versions {
		jv.version = v
	}
	snapshot.Map(c, j.strata, compareStrata, with(c, persistStratum), with(c, persistSilence))
	snapshot.Map(c, j.failing, compareStrata, with(c, persistStratum), with(c, persistFailing))
	snapshot.Map(c, j.alive, compareStrata, with(c, persistStratum), with(c, snapshot.Int[int]))
	snapshot.Map(c, j.cohorts, func(a, b cohortKey) int { return cmp.Or(cmp.Compare(a.product, b.product), cmp.Compare(a.os, b.os)) },
		func(k *cohortKey) { c.Shared(&k.product); c.Shared(&k.os) }, with(c, persistJudgedCohort))
	snapshot.Map(c, j.sites, strings.Compare, c.Shared, with(c, persistJudgedSite))
	snapshot.Map(c, j.feeds, strings.Compare, c.Shared, with(c, persistJudgedFeed))
	snapshot.Map(c, j.clocks, strings.Compare, c.Shared, with(c, persistJudgedClock))
}

func persistJudgedClock(c *snapshot.Codec, v **judgedClock) {
	if *v == nil {
		*v = &judgedClock{}
	}
	f := *v
	for _, n := range []*int64{&f.last, &f.frozen, &f.resumed, &f.thinFrom} {
		snapshot.Int(c, n)
	}
	finite(c, &f.between)
	finite(c, &f.thinDue)
	snapshot.Int(c, &f.step)
	snapshot.Int(c, &f.thinSteps)
	for i := range f.delays {
		snapshot.Int(c, &f.delays[i])
	}
	if f.step < 0 {
		c.Fail("step %d of a feed", f.step)
		f.step = 0
	}
}

func persistVersion(c *snapshot.Codec, v *Version) {
	for _, text := range []*string{&v.Product, &v.Kind, &v.Channel, &v.Version} {
		c.Shared(text)
	}
}

func persistStratum(c *snapshot.Codec, s *Stratum) {
	for _, text := range []*string{&s.Product, &s.OS, &s.HostType, &s.Ring} {
		c.Shared(text)
	}
}

func persistTest(c *snapshot.Codec, p *sequential.EProcess) {
	finites(c, p.Bets())
	finite(c, &p.NewArm)
	finite(c, &p.Control)
}

func persistEvidence(c *snapshot.Codec, e *evidence) {
	persistTest(c, &e.EProcess)
	persistTest(c, &e.early)
	persistTest(c, &e.servers)
	if c.Reading() {
		e.models = map[string]*modelEvidence{}
	}
	snapshot.Map(c, e.models, strings.Compare, c.Shared, func(m **modelEvidence) {
		if *m == nil {
			*m = &modelEvidence{}
		}
		persistTest(c, &(*m).whole)
		persistTest(c, &(*m).early)
	})
	if len(e.models) > maxModels {
		c.Fail("expected at most %d models, found %d", maxModels, len(e.models))
	}
}

func persistWindow(c *snapshot.Codec, w **window) {
	if *w == nil {
		*w = &window{}
	}
	snapshot.Int(c, &(*w).at)
	for i := range (*w).minutes {
		snapshot.Int(c, &(*w).minutes[i])
	}
	if (*w).at < 0 {
		c.Fail("expected a minute, found %d", (*w).at)
		(*w).at = 0
	}
}

func persistIncident(c *snapshot.Codec, i *incident) {
	c.Bool(&i.firing)
	snapshot.Int(c, &i.start)
	snapshot.Int(c, &i.told)
	for _, n := range []*int{&i.reported, &i.findings, &i.quiet} {
		snapshot.Int(c, n)
	}
}

func persistJudgedVersion(c *snapshot.Codec, v **judgedVersion) {
	if *v == nil {
		*v = newJudgedVersion(Version{}, 0)
	}
	jv := *v
	persistIncident(c, &jv.incident)
	for _, at := range []*int64{&jv.first, &jv.lastExposed, &jv.lastFailed, &jv.firstHarm, &jv.lastStep} {
		snapshot.Int(c, at)
	}
	snapshot.Int(c, &jv.exposed)
	c.Bool(&jv.noControl)
	snapshot.Int(c, &jv.spread.interval)
	snapshot.List(c, &jv.spread.points, func(p *point) { snapshot.Int(c, &p.at); snapshot.Int(c, &p.exposed) })
	snapshot.Map(c, jv.rings, strings.Compare, c.Shared, with(c, snapshot.Int[int]))
	snapshot.Map(c, jv.ringFirst, strings.Compare, c.Shared, with(c, snapshot.Int[int64]))
	snapshot.Map(c, jv.ringSeen, strings.Compare, c.Shared, with(c, snapshot.Int[int64]))
	snapshot.Map(c, jv.sites, strings.Compare, c.Shared, with(c, snapshot.Int[int]))
	snapshot.Map(c, jv.alive, compareStrata, with(c, persistStratum), with(c, snapshot.Int[int]))
	snapshot.Map(c, jv.failSites, strings.Compare, c.Shared, c.Bool)
	snapshot.Map(c, jv.alone, strings.Compare, c.Shared, with(c, persistAlone))
	snapshot.Map(c, jv.lately, compareStrata, with(c, persistStratum), with(c, persistWindow))
	snapshot.Map(c, jv.modelLately, strings.Compare, c.Shared, with(c, persistWindow))
	snapshot.Map(c, jv.models, strings.Compare, c.Shared, with(c, snapshot.Int[int]))
	snapshot.List(c, &jv.hosts, func(h *harmedHost) {
		c.Shared(&h.name)
		c.Shared(&h.model)
		if snapshot.Int(c, &h.class); h.class > anyFailure {
			c.Fail("expected a way to fail, found %d", h.class)
			h.class = anyFailure
		}
	})
	for i := range jv.test {
		persistEvidence(c, &jv.test[i])
		finite(c, &jv.expected[i])
	}
}

func persistAlone(c *snapshot.Codec, v **alone) {
	if *v == nil {
		*v = &alone{}
	}
	a := *v
	c.Bool(&a.now)
	snapshot.Int(c, &a.watched)
	for _, n := range []*float64{&a.failed, &a.seconds, &a.beforeFailed, &a.beforeSeconds} {
		finite(c, n)
	}
}

func persistFailing(c *snapshot.Codec, v **sequential.Hazard) {
	if *v == nil {
		*v = &sequential.Hazard{}
	}
	persistHazard(c, *v)
}

func persistHazard(c *snapshot.Codec, h *sequential.Hazard) {
	finite(c, &h.Silences)
	finite(c, &h.Seconds)
}

func persistSilence(c *snapshot.Codec, s **sequential.Silence) {
	if *s == nil {
		*s = &sequential.Silence{CUSUM: sequential.NewCUSUM()}
	}
	c.Bool(&(*s).Sleeps)
	finite(c, &(*s).Mean)
	persistHazard(c, &(*s).Hazard)
	finite(c, &(*s).CUSUM.Sum)
	persistCalendar(c, &(*s).Calendar)
}

// persistCalendar writes the hours that were seen.
func persistCalendar(c *snapshot.Codec, calendar *sequential.Calendar) {
	for i := range calendar.Slots {
		s := &calendar.Slots[i]
		snapshot.Int(c, &s.Weeks)
		if s.Weeks == 0 {
			continue
		}
		snapshot.Int(c, &s.Last)
		for _, v := range []*float32{&s.Silences, &s.Seconds} {
			if c.Float32(v); c.Reading() && !(*v >= 0 && *v <= math.MaxFloat32) {
				c.Fail("expected a count")
				*v = 0
			}
		}
	}
}

func persistJudgedCohort(c *snapshot.Codec, v **judgedCohort) {
	if *v == nil {
		*v = &judgedCohort{}
	}
	jc := *v
	persistIncident(c, &jc.incident)
	for i := range jc.kinds {
		l := &jc.kinds[i]
		snapshot.Int(c, &l.alive)
		at := l.at
		windowOf(c, l.fell[:], &at, with(c, snapshot.Int[int]))
		at = l.at
		windowOf(c, l.gross[:], &at, with(c, snapshot.Int[int]))
		at = l.at
		windowOf(c, l.expected[:], &at, with(c, finite))
		l.at = at
	}
	for _, n := range []*int{&jc.silent, &jc.worst, &jc.recovered} {
		snapshot.Int(c, n)
	}
	snapshot.List(c, &jc.hosts, c.Shared)
}

func persistJudgedSite(c *snapshot.Codec, v **judgedSite) {
	if *v == nil {
		*v = &judgedSite{}
	}
	js := *v
	persistIncident(c, &js.incident)
	at := js.at
	windowOf(c, js.fell[:], &at, with(c, snapshot.Int[int]))
	at = js.at
	windowOf(c, js.names[:], &at, func(names *[]string) { snapshot.List(c, names, c.Shared) })
	js.at = at
	snapshot.Int(c, &js.silent)
	snapshot.Int(c, &js.recent)
	snapshot.Int(c, &js.losing)
}

func persistJudgedFeed(c *snapshot.Codec, v **judgedFeed) {
	if *v == nil {
		*v = &judgedFeed{}
	}
	jf := *v
	persistIncident(c, &jf.incident)
	for _, n := range []*int{&jf.steps, &jf.resumed, &jf.turn} {
		snapshot.Int(c, n)
	}
	snapshot.Int(c, &jf.since)
	snapshot.Int(c, &jf.stood)
	finite(c, &jf.due)
	finite(c, &jf.missed)
}

// with binds what writes or reads one value to a codec.
func with[T any](c *snapshot.Codec, do func(*snapshot.Codec, *T)) func(*T) {
	return func(v *T) { do(c, v) }
}

// finite is a number that a judge can go on with.
func finite(c *snapshot.Codec, v *float64) {
	if c.Float(v); c.Reading() && (math.IsNaN(*v) || math.IsInf(*v, 0)) {
		c.Fail("expected a finite number")
		*v = 0
	}
}

func finites(c *snapshot.Codec, list []float64) {
	for i := range list {
		finite(c, &list[i])
	}
}

// windowOf writes a ring of steps from the oldest on, so that its length may
// change with a release.
func windowOf[T any](c *snapshot.Codec, ring []T, at *int, entry func(*T)) {
	if !c.Reading() {
		ordered := slices.Concat(ring[*at+1:], ring[:*at+1])
		snapshot.List(c, &ordered, entry)
		return
	}
	var ordered []T
	snapshot.List(c, &ordered, entry)
	if len(ordered) > len(ring) {
		ordered = ordered[len(ordered)-len(ring):]
	}
	copy(ring[len(ring)-len(ordered):], ordered)
	*at = len(ring) - 1
}
