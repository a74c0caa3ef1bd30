package kinds

import (
	"fmt"
	"math"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/table"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// Match is the kind of rule that alerts on events that satisfy a condition.
func Match() engine.Kind {
	return engine.Kind{
		Name:    "match",
		Meaning: "an event satisfies a condition, or every reading of a time does",
		New:     func() engine.Declaration { return newMatchRule() },
		Keys: map[string]string{
			"for":     "How long every reading has to satisfy the condition.",
			"no_data": "What happens to an open episode when no reading comes: none, keep, alert or resolve.",
		},
		Words: map[string][]string{"no_data": {noDataNone, noDataKeep, noDataAlert, noDataResolve}},
		Scaffold: `condition: event.action == "log-cleared"
tests:
  - name: it happens
    events: [{at: +0m, set: {event.action: log-cleared, agent.id: a1}}]
    expect: [{by: +1m, alerts: 1}]
  - name: something else happens
    events: [{at: +0m, set: {event.action: sensor-heartbeat, agent.id: a1}}]
    expect: [{by: +1m, alerts: 0}]
`,
	}
}

// matchRule alerts on events that satisfy a condition: on every one, on the
// first of an episode, or, with for, when every reading of a time has.
type matchRule struct {
	spec.Header `yaml:",inline"`
	Condition   strict.Text   `yaml:"condition,required"`
	For         time.Duration `yaml:"for"`
	NoData      string        `yaml:"no_data"` // With for: none, keep, alert or resolve: when no reading comes.
}

func newMatchRule() *matchRule { return &matchRule{Header: spec.DefaultHeader(), NoData: noDataNone} }

func (d *matchRule) Check(c *spec.Checker) {
	c.Positive("for", d.For, true)
	if d.For > 0 {
		checkNoData(c, d.NoData, noDataNone, noDataKeep, noDataAlert, noDataResolve)
	} else {
		checkNoData(c, d.NoData, noDataNone)
	}
}

func (d *matchRule) Compile(c *engine.Compiler) engine.Plan {
	x := c.Condition(d.Condition)
	if x == nil {
		return nil
	}
	return &matchPlan{x: x, hold: int64(d.For), noData: d.NoData}
}

// matchPlan is a compiled match rule.
type matchPlan struct {
	x      *expression.Expression
	hold   int64
	noData string
}

func (p *matchPlan) Horizon() time.Duration { return time.Duration(p.hold) }

// Slots of a match rule.
const (
	slotMatch   = iota
	slotReading // An event that has every field that the condition names.
)

func (p *matchPlan) Hooks() []engine.Hook {
	if p.hold == 0 {
		h := engine.NewHook(slotMatch, "condition", p.x)
		h.TakesLate = true
		return []engine.Hook{h}
	}
	fields := p.x.Fields()
	reading := engine.Hook{Slot: slotReading, Role: "reading", X: p.x, Truth: func(env *expression.Env) expression.Truth {
		for _, id := range fields {
			if !env.Event.Has(id) {
				return expression.False
			}
		}
		return expression.True
	}}
	var presence []expression.Alternative
	for _, id := range fields {
		presence = append(presence, expression.Alternative{{Field: id, Op: expression.Present}})
	}
	// A reading that does not satisfy the condition only matters to a key that
	// is known, and to a rule that waits for all readings.
	if reading.Alternatives = p.x.Alternatives(); p.noData == noDataAlert || len(reading.Alternatives) == 0 {
		reading.Alternatives = presence
	} else {
		reading.Watch = presence
	}
	return []engine.Hook{reading}
}

func (p *matchPlan) Traits() engine.Traits {
	return engine.Traits{Endless: p.hold == 0, Copies: true, Orderless: p.hold == 0, Forwards: p.noData == noDataNone || p.hold == 0}
}

func (p *matchPlan) NewState(s *engine.Session, r *engine.Rule) engine.State {
	st := &matchState{RuleSession: engine.NewRuleSession(s, r), p: p, table: engine.NewTable[matchKey](s, r)}
	st.watch = dataWatch{rs: &st.RuleSession, behavior: p.noData, span: st.staleAfter(), what: "reading"}
	return st
}

// matchState holds the episodes of a match rule.
type matchState struct {
	engine.RuleSession
	p     *matchPlan
	watch dataWatch
	table *table.Keyed[matchKey]
	awake bool // The session shows it all readings.
}

// matchKey is the state of one key.
type matchKey struct {
	engine.Episode
	dataKey
	entity  *engine.Entity
	last    int64 // Clock of the last match.
	atLeast int64 // The episode does not end before.

	// With for: the readings that matched without a break.
	since, reading int64
	readings       int64
}

func (st *matchState) KeyCount() (int, uint64) { return st.table.Held(), st.table.Evicted }

func (st *matchState) ClockJumped(gap int64) int64 { return st.watch.step(gap) }

func (st *matchState) Next() int64 {
	if e := st.table.Next(); e != nil {
		return e.Due
	}
	return math.MaxInt64
}

func (st *matchState) Observe(slot int, m *engine.Evaluation) {
	key, ok := st.GroupKey(m)
	if !ok {
		return
	}
	if slot == slotReading {
		st.read(key, m)
		st.watchReadings()
		return
	}
	st.Mark(m)
	if st.KeepFiring() == 0 && st.Suppress() == 0 {
		text := key.Own()
		ep := st.NewEpisode(text, m.At, m.Distinction())
		ep.Count = 1
		st.raiseMatch(&ep, text, m, nil)
		return
	}
	e, _ := st.table.Obtain(key)
	st.match(e, m)
}

// watchReadings asks for all readings while there are keys.
func (st *matchState) watchReadings() {
	if on := st.table.Held() > 0; on != st.awake {
		st.awake = on
		st.WatchMore(on)
	}
}

func (st *matchState) Rewatch() {
	st.awake = false
	st.watchReadings()
}

// match counts one match in the episode of its key, or begins one.
func (st *matchState) match(e *table.Entry[matchKey], m *engine.Evaluation) {
	k := &e.Data
	k.last, k.entity = m.Now, m.Entity
	if k.Firing() {
		k.Count++
		st.schedule(e)
		return
	}
	var extra []engine.Evidence
	if st.p.hold > 0 {
		k.Episode = st.NewEpisode(e.Key, k.since, "")
		k.Count = k.readings
		extra = []engine.Evidence{engine.Text("for", wording.Duration(st.p.hold)), engine.Number("readings", k.readings)}
	} else {
		k.Episode = st.NewEpisode(e.Key, m.At, "")
		k.Count = 1
	}
	k.atLeast = m.Now + st.Suppress()
	st.raiseMatch(&k.Episode, e.Key, m, extra)
	st.schedule(e)
}

// schedule sets the timer to the end of the episode, or of the readings. A
// timer that runs out earlier is left: fire finds that it is not time yet.
func (st *matchState) schedule(e *table.Entry[matchKey]) {
	if due := st.ends(&e.Data); due != math.MaxInt64 && (!e.Timed() || due < e.Due) {
		st.table.Wake(e, due)
		st.WakeAt(due)
	}
}

// ends is when nothing keeps the key any more. A reading that comes just when
// the longest gap is over continues the run: that ends a moment later.
func (st *matchState) ends(k *matchKey) int64 {
	due := k.last
	if k.Firing() {
		due += st.KeepFiring()
	}
	if st.p.hold > 0 && k.readings > 0 {
		due += st.staleAfter() + nextMoment
	}
	if k.Firing() {
		due = max(due, k.atLeast)
	}
	return st.watch.ends(&k.dataKey, k.Firing(), due)
}

// nextMoment is the least time after another.
const nextMoment = 1

// Fire resolves an episode that nothing has kept firing, and forgets the key.
func (st *matchState) Fire(due int64) {
	defer st.watchReadings()
	e := st.table.Next()
	if at := st.ends(&e.Data); at > due {
		st.table.Wake(e, 0)
		st.schedule(e)
		return
	}
	if st.watch.raiseMissing(&e.Data.dataKey, due, e.Key, e.Data.entity) {
		st.table.Wake(e, 0)
		return
	}
	if k := &e.Data; k.Firing() {
		if k.readings > 0 && due == k.last+st.KeepFiring()+st.staleAfter()+nextMoment {
			due -= nextMoment // It says when the gap was over.
		}
		st.resolve(e, due, nil)
	}
	st.table.Remove(e)
}

func (st *matchState) resolve(e *table.Entry[matchKey], at int64, source *event.Event) {
	k := &e.Data
	k.Resolve()
	st.Raise(&k.Episode, &engine.Alert{
		At: at, End: k.last, Status: "resolved", Key: e.Key, Entity: k.entity, Source: source,
		Reason: fmt.Sprintf("%s no longer matches; it matched %s in %s", engine.Subject(k.entity, e.Key), wording.Times(k.Count), wording.Duration(k.last-k.Start)),
	})
}

// staleAfter is the gap between readings from which on for starts again.
func (st *matchState) staleAfter() int64 { return max(st.p.hold, int64(10*time.Minute)) }

// read takes a reading of a rule with for: it continues, breaks or completes
// the time that the condition has to hold.
func (st *matchState) read(key table.Key, m *engine.Evaluation) {
	holds := st.Satisfies(st.p.x)
	if m.Late {
		st.CountLate()
		return
	}
	e := st.table.Get(key)
	if e == nil && (holds || st.p.noData == noDataAlert) {
		e, _ = st.table.Obtain(key)
	}
	if e != nil {
		st.watch.noteData(&e.Data.dataKey, m, e.Key, m.Entity)
	}
	if !holds {
		if e != nil {
			st.breakOff(e, m)
		}
		return
	}
	st.Mark(m)
	k := &e.Data
	forgotten := !k.Firing() && m.Now-k.last > st.staleAfter() // By a key that is kept for no_data.
	if k.readings == 0 || forgotten || m.At-k.reading > st.staleAfter() {
		k.since, k.reading, k.readings = m.At, m.At, 0
	}
	k.readings++
	k.reading = max(k.reading, m.At)
	k.entity, k.last = m.Entity, m.Now
	if k.Firing() || m.At-k.since >= st.p.hold {
		st.match(e, m)
		return
	}
	k.Await()
	if st.NearMisses() != nil {
		st.missed(e, m)
	}
	st.schedule(e)
}

// breakOff ends the run of matching readings.
func (st *matchState) breakOff(e *table.Entry[matchKey], m *engine.Evaluation) {
	k := &e.Data
	if m.At < k.reading { // A reading from before does not contradict a later one.
		st.schedule(e) // Its agent may have been missed until now.
		return
	}
	k.readings = 0
	if k.Firing() {
		if m.Now < max(k.last+st.KeepFiring(), k.atLeast) {
			st.schedule(e)
			return
		}
		st.resolve(e, m.Now, m.Event)
	}
	if k.State == engine.Pending {
		k.State = engine.Inactive
	}
	if st.p.noData == noDataAlert { // Whoever was heard is waited for.
		k.entity, k.last = m.Entity, m.Now
		st.schedule(e)
		return
	}
	st.table.Remove(e)
}

// raise writes the firing document of an episode.
func (st *matchState) raiseMatch(ep *engine.Episode, key string, m *engine.Evaluation, extra []engine.Evidence) {
	values, words := engine.ClauseValues(st.p.x, m.Event)
	evidence := append([]engine.Evidence{engine.Text("condition", st.p.x.String()), {Name: "values", JSON: values}}, extra...)
	if id := m.Event.Str(ecs.EventID); id != "" {
		evidence = append(evidence, engine.Text("event_id", id))
	}
	reason := fmt.Sprintf("%s reports %s", engine.Subject(m.Entity, key), words)
	if st.p.hold > 0 {
		reason += fmt.Sprintf(", and has in all of %s over %s", wording.Plural(ep.Count, "reading"), wording.Duration(m.At-ep.Start))
	}
	st.Raise(ep, &engine.Alert{
		At: m.Now, End: m.At, Status: "firing", Key: key, Entity: m.Entity, Source: m.Event,
		Reason: reason, Evidence: evidence,
	})
}

func (k *matchKey) Weight() int { return k.Episode.Weight() + k.gone.Weight() }

func (k *matchKey) OpenAlerts(end func(engine.OpenAlert), key string, _ *engine.Rule) {
	if k.Firing() {
		end(engine.OpenAlert{Episode: &k.Episode, Key: key, Entity: k.entity})
	}
	k.dataKey.OpenAlerts(end, key, k.entity)
}

func (st *matchState) OpenAlerts(end func(engine.OpenAlert)) {
	engine.OpenAlertsIn(st.table, st.Rule(), end)
}

func (st *matchState) Persist(a *engine.Archive) {
	st.watch.persist(a)
	engine.PersistTable(a, st.table, func(e *table.Entry[matchKey]) {
		k := &e.Data
		k.Episode.Persist(a)
		k.dataKey.persist(a)
		k.Episode.PersistFiring(a)
		a.Agent(&k.entity)
		for _, t := range []*int64{&k.last, &k.atLeast, &k.since, &k.reading} {
			a.Time(t)
		}
		if snapshot.Int(a.Codec, &k.readings); a.Reading() && k.readings > 0 && !k.Firing() {
			k.Await()
		}
	})
}

// missed offers a run of readings that was not long enough.
func (st *matchState) missed(e *table.Entry[matchKey], m *engine.Evaluation) {
	k := &e.Data
	held := max(m.At-k.since, 0)
	st.NearMisses().Offer(engine.NearMiss{
		Rule: st.Rule(), Stage: engine.MissedBound, Key: e.Key, At: m.At, Measure: "seconds", Value: wording.Seconds(held), Bound: wording.Seconds(st.p.hold),
		Nearness: float64(held) / float64(st.p.hold),
		Reason:   fmt.Sprintf("satisfied the condition for %s, in %s; the rule asks for %s (for)", wording.Duration(held), wording.Plural(k.readings, "reading"), wording.Duration(st.p.hold)),
	})
}
