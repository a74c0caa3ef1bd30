package rules

import (
	"fmt"
	"math"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// Match is the kind of rule that alerts on events that satisfy a condition.
func Match() Kind {
	return Kind{
		Name: "match",
		New:  func() declaration { return newMatchRule() },
		Keys: map[string]string{
			"for":     "How long every reading has to satisfy the condition.",
			"no_data": "What becomes of an open episode when no reading comes: none, keep, alert or resolve.",
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
	Header    `yaml:",inline"`
	Condition strict.Text   `yaml:"condition,required"`
	For       time.Duration `yaml:"for"`
	NoData    string        `yaml:"no_data"` // With for: none, keep, alert or resolve: when no reading comes.
}

func newMatchRule() *matchRule { return &matchRule{Header: defaultHeader(), NoData: noDataNone} }

func (d *matchRule) header() *Header { return &d.Header }

func (d *matchRule) check(c *checker) {
	c.positive("for", d.For, true)
	if d.For > 0 {
		checkNoData(c, d.NoData, noDataNone, noDataKeep, noDataAlert, noDataResolve)
	} else {
		checkNoData(c, d.NoData, noDataNone)
	}
}

func (d *matchRule) compile(c *compiler) plan {
	x := c.condition(d.Condition)
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

func (p *matchPlan) horizon() time.Duration { return time.Duration(p.hold) }

// Slots of a match rule.
const (
	slotMatch   = iota
	slotReading // An event that has every field that the condition names.
)

func (p *matchPlan) hooks() []hook {
	if p.hold == 0 {
		h := hookOf(slotMatch, "condition", p.x)
		h.takesLate = true
		return []hook{h}
	}
	fields := p.x.Fields()
	reading := hook{slot: slotReading, role: "reading", x: p.x, truth: func(env *expression.Env) expression.Truth {
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
	if reading.alternatives = p.x.Alternatives(); p.noData == noDataAlert || len(reading.alternatives) == 0 {
		reading.alternatives = presence
	} else {
		reading.watch = presence
	}
	return []hook{reading}
}

func (p *matchPlan) traits() traits {
	return traits{endless: p.hold == 0, copies: true, orderless: p.hold == 0}
}

func (p *matchPlan) newState(s *Session, r *Rule) state {
	st := &matchState{RuleSession: RuleSession{s, r}, p: p, table: tableOf[matchKey](s, r)}
	st.watch = dataWatch{rs: &st.RuleSession, behavior: p.noData, span: st.staleAfter(), what: "reading"}
	return st
}

// matchState holds the episodes of a match rule.
type matchState struct {
	RuleSession
	p     *matchPlan
	watch dataWatch
	table *keyed[matchKey]
	awake bool // The session shows it all readings.
}

// matchKey is the state of one key.
type matchKey struct {
	episode
	dataKey
	firing  bool
	entity  *entity
	last    int64 // Clock of the last match.
	atLeast int64 // The episode does not end before.

	// With for: the readings that matched without a break.
	since, reading int64
	readings       int64
}

func (st *matchState) keys() (int, uint64)  { return st.table.held(), st.table.evicted }
func (st *matchState) step(gap int64) int64 { return st.watch.step(gap) }

func (st *matchState) next() int64 {
	if e := st.table.next(); e != nil {
		return e.due
	}
	return math.MaxInt64
}

func (st *matchState) observe(slot int, m *moment) {
	key, ok := st.groupKey(m)
	if !ok {
		return
	}
	if slot == slotReading {
		st.read(key, m)
		st.watchReadings()
		return
	}
	st.mark(m)
	if st.keepFiring() == 0 && st.suppress() == 0 {
		text := key.own()
		ep := st.newEpisode(text, m.at, m.e.Str(ecs.EventID))
		ep.count = 1
		st.raiseMatch(&ep, text, m, nil)
		return
	}
	e, _ := st.table.obtain(key)
	st.match(e, m)
}

// watchReadings asks for all readings while there are keys.
func (st *matchState) watchReadings() {
	if on := st.table.held() > 0; on != st.awake {
		st.awake = on
		st.watchMore(on)
	}
}

func (st *matchState) rewatch() {
	st.awake = false
	st.watchReadings()
}

// match counts one match in the episode of its key, or begins one.
func (st *matchState) match(e *entry[matchKey], m *moment) {
	k := &e.data
	k.last, k.entity = m.now, m.entity
	if k.firing {
		k.count++
		st.schedule(e)
		return
	}
	var extra []pair
	if st.p.hold > 0 {
		k.episode = st.newEpisode(e.key, k.since, "")
		k.count = k.readings
		extra = []pair{text("for", duration(st.p.hold)), number("readings", k.readings)}
	} else {
		k.episode = st.newEpisode(e.key, m.at, "")
		k.count = 1
	}
	k.firing, k.atLeast = true, m.now+st.suppress()
	st.raiseMatch(&k.episode, e.key, m, extra)
	st.schedule(e)
}

// schedule sets the timer to the end of the episode, or of the readings. A
// timer that runs out earlier is left: fire finds that it is not time yet.
func (st *matchState) schedule(e *entry[matchKey]) {
	if due := st.ends(&e.data); due != math.MaxInt64 && (!e.timed() || due < e.due) {
		st.table.wake(e, due)
		st.wakeAt(due)
	}
}

// ends is when nothing keeps the key any more. A reading that comes just when
// the longest gap is over continues the run: that ends a moment later.
func (st *matchState) ends(k *matchKey) int64 {
	due := k.last
	if k.firing {
		due += st.keepFiring()
	}
	if st.p.hold > 0 && k.readings > 0 {
		due += st.staleAfter() + nextMoment
	}
	if k.firing {
		due = max(due, k.atLeast)
	}
	return st.watch.ends(&k.dataKey, k.firing, due)
}

// nextMoment is the least time after another.
const nextMoment = 1

// fire resolves an episode that nothing has kept firing, and forgets the key.
func (st *matchState) fire(due int64) {
	defer st.watchReadings()
	e := st.table.next()
	if at := st.ends(&e.data); at > due {
		st.table.wake(e, 0)
		st.schedule(e)
		return
	}
	if st.watch.miss(&e.data.dataKey, due, e.key, e.data.entity) {
		st.table.wake(e, 0)
		return
	}
	if k := &e.data; k.firing {
		if k.readings > 0 && due == k.last+st.keepFiring()+st.staleAfter()+nextMoment {
			due -= nextMoment // It says when the gap was over.
		}
		st.resolve(e, due, nil)
	}
	st.table.remove(e)
}

func (st *matchState) resolve(e *entry[matchKey], at int64, source *event.Event) {
	k := &e.data
	k.firing = false
	st.raise(&k.episode, &alert{
		at: at, end: k.last, status: "resolved", key: e.key, entity: k.entity, source: source,
		reason: fmt.Sprintf("%s no longer matches; it matched %s in %s", subject(k.entity, e.key), times(k.count), duration(k.last-k.start)),
	})
}

// staleAfter is the gap between readings from which on for starts again.
func (st *matchState) staleAfter() int64 { return max(st.p.hold, int64(10*time.Minute)) }

// read takes a reading of a rule with for: it continues, breaks or completes
// the time that the condition has to hold.
func (st *matchState) read(key key, m *moment) {
	holds := st.satisfies(st.p.x)
	if m.late {
		st.countLate()
		return
	}
	e := st.table.get(key)
	if e == nil && (holds || st.p.noData == noDataAlert) {
		e, _ = st.table.obtain(key)
	}
	if e != nil {
		st.watch.hear(&e.data.dataKey, m, e.key, m.entity)
	}
	if !holds {
		if e != nil {
			st.breakOff(e, m)
		}
		return
	}
	st.mark(m)
	k := &e.data
	forgotten := !k.firing && m.now-k.last > st.staleAfter() // By a key that is kept for no_data.
	if k.readings == 0 || forgotten || m.at-k.reading > st.staleAfter() {
		k.since, k.reading, k.readings = m.at, m.at, 0
	}
	k.readings++
	k.reading = max(k.reading, m.at)
	k.entity, k.last = m.entity, m.now
	if k.firing || m.at-k.since >= st.p.hold {
		st.match(e, m)
		return
	}
	if st.near() != nil {
		st.missed(e, m)
	}
	st.schedule(e)
}

// breakOff ends the run of matching readings.
func (st *matchState) breakOff(e *entry[matchKey], m *moment) {
	k := &e.data
	if m.at < k.reading { // A reading from before does not contradict a later one.
		st.schedule(e) // Its agent may have been missed until now.
		return
	}
	k.readings = 0
	if k.firing {
		if m.now < max(k.last+st.keepFiring(), k.atLeast) {
			st.schedule(e)
			return
		}
		st.resolve(e, m.now, m.e)
	}
	if st.p.noData == noDataAlert { // Whoever was heard is waited for.
		k.entity, k.last = m.entity, m.now
		st.schedule(e)
		return
	}
	st.table.remove(e)
}

// raise writes the firing document of an episode.
func (st *matchState) raiseMatch(ep *episode, key string, m *moment, extra []pair) {
	values, words := clauseValues(st.p.x, m.e)
	evidence := append([]pair{text("condition", st.p.x.String()), {"values", values}}, extra...)
	if id := m.e.Str(ecs.EventID); id != "" {
		evidence = append(evidence, text("event_id", id))
	}
	reason := fmt.Sprintf("%s reports %s", subject(m.entity, key), words)
	if st.p.hold > 0 {
		reason += fmt.Sprintf(", and has in all of %s over %s", plural(ep.count, "reading"), duration(m.at-ep.start))
	}
	st.raise(ep, &alert{
		at: m.now, end: m.at, status: "firing", key: key, entity: m.entity, source: m.e,
		reason: reason, evidence: evidence,
	})
}
