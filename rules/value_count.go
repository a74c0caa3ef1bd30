package rules

import (
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// ValueCount is the kind of rule that counts different values.
func ValueCount() Kind {
	return Kind{
		Name: "value_count",
		New:  func() declaration { return newValueCountRule() },
		Keys: map[string]string{
			"field": "The field whose different values are counted; entity counts agents.",
		},
		Words: map[string][]string{"window_kind": windowKinds(), "no_data": {noDataNone, noDataKeep}},
		Scaffold: `condition: event.action == "sensor-stopped"
field: entity
group_by: [agent.type]
scope: cohort
window: 10m
having: {gte: 3}
tests:
  - name: three agents
    events: [{at: +0m, repeat: {count: 3, every: 1m}, set: {event.action: sensor-stopped, agent.id: "a{n}", agent.type: x}}]
    expect: [{by: +2m, alerts: 1}]
  - name: one agent three times
    events: [{at: +0m, repeat: {count: 3, every: 1m}, set: {event.action: sensor-stopped, agent.id: a1, agent.type: x}}]
    expect: [{by: +1h, alerts: 0}]
`,
	}
}

// valueCountRule alerts when the matching events of a key have many different
// values of a field within a window, as the correlation of that name in
// Sigma.
type valueCountRule struct {
	Header     `yaml:",inline"`
	windowKeys `yaml:",inline"`
	Condition  strict.Text `yaml:"condition,required"`
	Field      string      `yaml:"field,required"` // "entity" counts agents.
	Having     having      `yaml:"having,required"`
	NoData     string      `yaml:"no_data"` // none, or keep: while nothing at all comes from the agent.
}

// maxValues bounds what a value_count may ask for: that many values are looked
// through for every event.
const maxValues = 1000

func newValueCountRule() *valueCountRule {
	return &valueCountRule{Header: defaultHeader(), windowKeys: windowKeys{Kind: "sliding"}, NoData: noDataNone}
}

func (d *valueCountRule) header() *Header { return &d.Header }

func (d *valueCountRule) check(c *checker) {
	d.windowKeys.check(c)
	checkKeep(c, &d.Header, d.NoData)
	low, _ := d.Having.limits()
	switch {
	case d.Having.GT == nil && d.Having.GTE == nil || d.Having.LT != nil || d.Having.LTE != nil || d.Having.EQ != nil:
		c.problem("having", "having needs gt or gte, and nothing else: the number of values in a window can only be noticed when it grows", "")
	case low > maxValues:
		c.problem("having", fmt.Sprintf("a count of %d values is more than %d", low, maxValues), "group the events by something")
	}
}

func (d *valueCountRule) compile(c *compiler) plan {
	x := c.condition(d.Condition)
	p := &valueCountPlan{x: x, windows: d.plan(), keep: d.NoData == noDataKeep, window: int64(d.Window), having: d.Having.String(), name: d.Field, entity: d.Field == "entity"}
	if !p.entity {
		p.field, p.scalar = c.valueField("field", d.Field)
	}
	if x == nil {
		return nil
	}
	p.low, _ = d.Having.limits()
	return p
}

// valueCountPlan is a compiled value_count rule.
type valueCountPlan struct {
	x       *expression.Expression
	windows windowPlan
	keep    bool // no_data: keep.
	field   ecs.ID
	name    string
	entity  bool
	scalar  bool // The field is a number or boolean.
	window  int64
	low     int64
	having  string
}

func (p *valueCountPlan) horizon() time.Duration { return time.Duration(p.window) }

func (p *valueCountPlan) hooks() []hook {
	h := hookOf(0, "condition", p.x)
	if !p.entity {
		h.alternatives = withPresence(h.alternatives, p.field)
	}
	return []hook{h}
}

// withPresence adds to what a condition needs that a field is present.
func withPresence(alternatives []expression.Alternative, field ecs.ID) []expression.Alternative {
	return append(slices.Clone(alternatives), expression.Alternative{{Field: field, Op: expression.Present}})
}

// room is how many sightings a key keeps: before an alert a window has fewer
// values than the threshold, and of one value two sightings or three; while it
// fires the latest decide when it ends.
func (p *valueCountPlan) room(firing bool, lateness int64) int {
	if firing {
		return int(8*p.low + 64)
	}
	return int(min(8*p.low+64+2*p.low*(lateness/p.window+2), 32*maxValues))
}

func (p *valueCountPlan) traits() traits { return traits{copies: true, orderless: true} }

func (p *valueCountPlan) newState(s *Session, r *Rule) state {
	if !p.windows.sliding {
		var one [1]string
		return newBucketState(s, r, counted{
			windowPlan: p.windows, x: p.x, having: p.having, low: p.low, high: math.MaxInt64,
			keep: p.keep, noun: "different " + p.name, field: p.name, values: func(m *moment) []string { return p.values(m, &one) },
		})
	}
	return &valueCountState{RuleSession: RuleSession{s, r}, p: p, table: tableOf[valueCountKey](s, r), seed: maphash.MakeSeed()}
}

// valueCountState holds the windows of a value_count rule.
type valueCountState struct {
	RuleSession
	p     *valueCountPlan
	table *keyed[valueCountKey]
	seed  maphash.Seed // Of the hashes of values.
	one   [1]string
}

// valueCountKey is the state of one key.
type valueCountKey struct {
	episode
	subjects
	trace
	seen    sightings
	firing  bool
	newest  int64
	atLeast int64 // The episode does not end before.
	enough  int64 // Latest time from which on as many values were seen as having asks for.
	settled int64 // When the last episode ended: windows up to here are not judged again.
}

func (st *valueCountState) keys() (int, uint64) { return st.table.held(), st.table.evicted }

func (st *valueCountState) next() int64 {
	if e := st.table.next(); e != nil {
		return e.due
	}
	return math.MaxInt64
}

// values are what the event has in the field.
func (p *valueCountPlan) values(m *moment, one *[1]string) []string {
	if p.entity {
		if m.entity == nil {
			return nil
		}
		one[0] = m.entity.key
		return one[:]
	}
	v := m.e.Get(p.field)
	switch {
	case v == nil:
		return nil
	case p.scalar:
		one[0] = string(appendScalar(nil, v))
		return one[:]
	case v.List() != nil:
		return v.List()
	}
	one[0] = v.Str()
	return one[:]
}

func (st *valueCountState) observe(_ int, m *moment) {
	if m.late {
		st.countLate()
		return
	}
	values := st.p.values(m, &st.one)
	if len(values) == 0 {
		return
	}
	key, ok := st.groupKey(m)
	if !ok {
		return
	}
	st.mark(m)
	e, _ := st.table.obtain(key)
	k := &e.data
	k.newest = max(k.newest, m.at)
	timed := k.firing // The end of an episode only moves away: its timer finds out, and where no_data has put it off it stays.
	k.subjects.add(st.rule(), m)
	k.trace.add(m)
	for _, value := range values {
		place, fresh := k.seen.see(st.seed, m.at, value, st.p.window, k.settled)
		if fresh && !k.firing {
			if end, count, ok := st.crossing(k, m.at, place); ok {
				st.begin(e, m, end, count)
			}
		}
		if fresh && k.firing {
			for ; place != 0 && k.seen.node(place).at-m.at < st.p.window; place = k.seen.node(place).newer {
				k.enough = max(k.enough, k.seen.latest(st.p.low, k.seen.node(place).at, st.p.window))
			}
		}
	}
	if k.firing {
		k.enough = max(k.enough, k.seen.latest(st.p.low, k.newest, st.p.window))
	} else if st.near() != nil {
		st.missed(e, m)
	}
	k.seen.prune(k.newest-st.p.window-st.lateness(), st.p.room(k.firing, st.lateness()))
	if k.firing {
		k.count = max(k.count, k.seen.within(k.newest, st.p.window))
	}
	if !timed {
		st.schedule(e)
	}
}

// crossing looks at the windows that the new sighting is in, each ending at a
// sighting, and returns the first that has enough values.
func (st *valueCountState) crossing(k *valueCountKey, at int64, place int32) (end, count int64, ok bool) {
	if int64(k.seen.different) < st.p.low {
		return 0, 0, false
	}
	for place != 0 {
		n := k.seen.node(place)
		if n.at-at >= st.p.window {
			break
		}
		if n.at > k.settled {
			if count := k.seen.within(n.at, st.p.window); count >= st.p.low {
				return n.at, count, true
			}
		}
		place = n.newer
	}
	return 0, 0, false
}

// begin starts an episode, at the event time at which the number was reached:
// of the values before not every sighting is remembered.
func (st *valueCountState) begin(e *entry[valueCountKey], m *moment, end, count int64) {
	k := &e.data
	first := end - st.p.window + 1
	evidence := append(append(clauses(st.p.x, m), text("field", st.p.name)), st.p.windows.evidence()...)
	evidence = append(evidence, text("threshold", st.p.having), number("value", count), pair{"counted_values", k.seen.sample(first, end)})
	k.episode = st.newEpisode(e.key, end, "")
	k.count, k.firing, k.atLeast, k.enough = count, true, m.now+st.suppress(), 0
	agent := k.entity(st.rule())
	st.raise(&k.episode, &alert{
		at: m.now, end: max(m.at, k.newest), status: "firing", key: e.key, entity: agent, source: m.e, hosts: k.names(),
		reason: fmt.Sprintf("%s had %s of %s within %s (threshold: %s)", subject(agent, e.key), plural(count, "value"), st.p.name,
			duration(st.p.window), st.p.having),
		evidence: append(evidence, k.trace.evidence(first, end, -count)...),
	})
}

// schedule sets the timer to the end of the episode or of the key. A timer
// that runs out earlier is left: fire finds that it is not time yet.
func (st *valueCountState) schedule(e *entry[valueCountKey]) {
	due := max(st.ends(&e.data), st.now()+1)
	if !e.timed() || due < e.due {
		st.table.wake(e, due)
		st.wakeAt(due)
	}
}

// ends is when the window has too few values, or the key is empty.
func (st *valueCountState) ends(k *valueCountKey) int64 {
	if !k.firing {
		return max(k.newest+st.p.window, k.settled) + st.lateness()
	}
	return max(k.enough+st.p.window+st.keepFiring(), k.atLeast)
}

// fire ends an episode or forgets a key.
func (st *valueCountState) fire(due int64) {
	e := st.table.next()
	k := &e.data
	if at := st.ends(k); at > due {
		st.table.wake(e, at)
		st.wakeAt(at)
		return
	}
	if !k.firing {
		st.table.remove(e)
		return
	}
	if st.p.keep && st.unheard(k.agent, due, st.p.window) {
		st.table.wake(e, due+st.p.window) // Who is silent has not recovered.
		st.wakeAt(e.due)
		return
	}
	st.table.wake(e, 0)
	k.firing, k.settled = false, due-1 // A window that ends when the episode does may begin the next.
	agent := k.entity(st.rule())
	st.raise(&k.episode, &alert{
		at: due, end: k.newest, status: "resolved", key: e.key, entity: agent, hosts: k.names(),
		reason:   fmt.Sprintf("%s has fewer values of %s again; it had up to %s", subject(agent, e.key), st.p.name, grouped(k.count)),
		evidence: []pair{text("field", st.p.name), text("threshold", st.p.having), number("value", k.count)},
	})
	k.hosts = nil
	st.schedule(e)
}
