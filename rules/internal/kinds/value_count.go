package kinds

import (
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/table"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// ValueCount is the kind of rule that counts different values.
func ValueCount() engine.Kind {
	return engine.Kind{
		Name:    "value_count",
		Meaning: "a field has many different values in a window",
		New:     func() engine.Declaration { return newValueCountRule() },
		Keys: map[string]string{
			"having": "How many values there are at least (gt, gte); of agents also a share of those that are alive: percent, and min where the fleet is small.",
			"field":  "The field whose different values are counted; entity counts agents.",
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
	spec.Header `yaml:",inline"`
	windowKeys  `yaml:",inline"`
	Condition   strict.Text `yaml:"condition,required"`
	Field       string      `yaml:"field,required"` // "entity" counts agents.
	Having      valueHaving `yaml:"having,required"`
	NoData      string      `yaml:"no_data"` // none, or keep: while nothing at all comes from the agent.
}

// maxValues bounds what a value_count may ask for: that many values are looked
// through for every event.
const maxValues = 1000

func newValueCountRule() *valueCountRule {
	return &valueCountRule{Header: spec.DefaultHeader(), windowKeys: windowKeys{Kind: "sliding"}, NoData: noDataNone}
}

func (d *valueCountRule) Check(c *spec.Checker) {
	d.windowKeys.check(c)
	checkKeep(c, &d.Header, d.NoData)
	d.Having.check(c, d)
}

func (d *valueCountRule) Compile(c *engine.Compiler) engine.Plan {
	x := c.Condition(d.Condition)
	p := &valueCountPlan{x: x, windows: d.plan(), keep: d.NoData == noDataKeep, window: int64(d.Window), having: d.Having.String(), name: d.Field, entity: d.Field == "entity"}
	if !p.entity {
		p.field, p.scalar = c.ValueField("field", d.Field)
	}
	if x == nil {
		return nil
	}
	p.low, _ = d.Having.limits()
	if p.share = d.Having.share(d.GroupBy); p.share != nil {
		p.low = p.share.min
	}
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
	share   *sharePlan // nil: low does not depend on the fleet.
	having  string
}

func (p *valueCountPlan) Horizon() time.Duration { return time.Duration(p.window) }

func (p *valueCountPlan) Hooks() []engine.Hook {
	h := engine.NewHook(0, "condition", p.x)
	if !p.entity {
		h.Alternatives = withPresence(h.Alternatives, p.field)
	}
	return []engine.Hook{h}
}

// room is how many appearances a key keeps: before an alert a window has fewer
// values than the threshold, and of one value two appearances or three; while it
// fires the latest decide when it ends.
func (p *valueCountPlan) room(firing bool, low, lateness int64) int {
	if firing {
		return int(8*low + 64)
	}
	most := int64(32 * maxValues)
	if p.share != nil {
		most = 16 * maxShare
	}
	return int(min(8*low+64+2*low*(lateness/p.window+2), most))
}

// AgentsNeeded implements engine.SharePlan.
func (p *valueCountPlan) AgentsNeeded(live int64) int64 {
	if p.share == nil {
		return p.low
	}
	return p.share.of(live)
}

func (p *valueCountPlan) Traits() engine.Traits {
	traits := engine.Traits{Copies: true, Orderless: true, Forwards: !p.keep}
	if !p.entity {
		traits.Reads = []ecs.ID{p.field}
	}
	return traits
}

// Distinct implements engine.DistinctPlan. A window that is shorter than a step
// could lie between two events of one.
func (p *valueCountPlan) Distinct(m *engine.Evaluation) (value string, counts bool) {
	var one [1]string
	values := p.values(m, &one)
	if len(values) == 0 {
		return "", false
	}
	if p.window < fleet.StepLength || p.windows.gap > 0 && p.windows.gap < fleet.StepLength {
		return "", true
	}
	return strings.Join(values, "\x00"), true
}

func (p *valueCountPlan) NewState(s *engine.Session, r *engine.Rule) engine.State {
	if !p.windows.sliding {
		var one [1]string
		return newBucketState(s, r, counted{
			windowPlan: p.windows, x: p.x, having: p.having, low: p.low, high: math.MaxInt64,
			keep: p.keep, noun: "different " + p.name, field: p.name, values: func(m *engine.Evaluation) []string { return p.values(m, &one) },
		})
	}
	st := &valueCountState{RuleSession: engine.NewRuleSession(s, r), p: p, seed: maphash.MakeSeed()}
	st.episodes = episodes[valueCountKey, *valueCountKey]{rs: &st.RuleSession, table: engine.NewTable[valueCountKey](s, r), ends: st.ends, resolved: st.resolve}
	if p.keep {
		st.unheardFor = p.window
	}
	return st
}

// valueCountState holds the windows of a value_count rule.
type valueCountState struct {
	engine.RuleSession
	episodes[valueCountKey, *valueCountKey]
	p    *valueCountPlan
	seed maphash.Seed // Of the hashes of values.
	one  [1]string
}

// valueCountKey is the state of one key.
type valueCountKey struct {
	engine.Episode
	subjects
	trace
	seen    table.DistinctWindow
	newest  int64
	atLeast int64 // The episode does not end before.
	enough  int64 // Latest time from which on as many values were seen as having asks for.
	settled int64 // When the last episode ended: windows up to here are not judged again.
	low     int64 // Of a share: how many agents it takes; of an episode as it began.
	live    int64 // Of how many.
}

func (k *valueCountKey) episode() *engine.Episode { return &k.Episode }
func (k *valueCountKey) about() *subjects         { return &k.subjects }

func (st *valueCountState) KeyCount() (int, uint64) { return st.table.Held(), st.table.Evicted }

// values are what the event has in the field.
func (p *valueCountPlan) values(m *engine.Evaluation, one *[1]string) []string {
	if p.entity {
		if m.Entity == nil {
			return nil
		}
		one[0] = m.Entity.Key
		return one[:]
	}
	v := m.Event.Get(p.field)
	switch {
	case v == nil:
		return nil
	case p.scalar:
		one[0] = string(engine.AppendScalar(nil, v))
		return one[:]
	case v.List() != nil:
		return v.List()
	}
	one[0] = v.Str()
	return one[:]
}

func (st *valueCountState) Observe(_ int, m *engine.Evaluation) {
	if m.Late {
		st.CountLate()
		return
	}
	values := st.p.values(m, &st.one)
	if len(values) == 0 {
		return
	}
	key, ok := st.GroupKey(m)
	if !ok {
		return
	}
	st.Mark(m)
	e, _ := st.table.Obtain(key)
	k := &e.Data
	k.newest = max(k.newest, m.At)
	timed := k.Firing() // The end of an episode only moves away: its timer finds out, and where no_data has put it off it stays.
	k.subjects.add(st.Rule(), m)
	k.trace.add(m)
	st.weigh(k, m)
	for _, value := range values {
		place, fresh := k.seen.See(st.seed, m.At, value, st.p.window, k.settled)
		if fresh && !k.Firing() {
			if end, count, ok := st.crossing(k, m.At, place); ok {
				st.begin(e, m, end, count)
			}
		}
		if fresh && k.Firing() {
			for ; place != 0 && k.seen.Node(place).At-m.At < st.p.window; place = k.seen.Node(place).Newer {
				k.enough = max(k.enough, k.seen.Latest(k.low, k.seen.Node(place).At, st.p.window))
			}
		}
	}
	if k.Firing() {
		k.enough = max(k.enough, k.seen.Latest(k.low, k.newest, st.p.window))
	} else if st.NearMisses() != nil {
		st.missed(e, m)
	}
	k.seen.Prune(k.newest-st.p.window-st.Lateness(), st.p.room(k.Firing(), k.low, st.Lateness()))
	if k.Firing() {
		k.Count = max(k.Count, k.seen.Within(k.newest, st.p.window))
	}
	if !timed {
		st.schedule(e)
	}
}

// weigh says how many values it takes now.
func (st *valueCountState) weigh(k *valueCountKey, m *engine.Evaluation) {
	switch {
	case st.p.share == nil:
		k.low = st.p.low
	case !k.Firing():
		k.live = st.p.share.live(&st.RuleSession, m)
		k.low = st.p.share.of(max(k.live, int64(st.Unsettled())))
	}
}

// denominator is that of a share; 0 for none.
func (st *valueCountState) denominator(k *valueCountKey) int64 {
	if st.p.share == nil {
		return 0
	}
	return max(k.live, k.Count)
}

// shareEvidence tells what a share asked for.
func (st *valueCountState) shareEvidence(k *valueCountKey) []engine.Evidence {
	if st.p.share == nil {
		return nil
	}
	return []engine.Evidence{engine.Float("percent", st.p.share.percent), engine.Number("min", st.p.share.min), engine.Number("agents_needed", k.low), engine.Number("live_agents", k.live)}
}

// crossing looks at the windows that the new appearance is in, each ending at an
// appearance, and returns the first that has enough values.
func (st *valueCountState) crossing(k *valueCountKey, at int64, place int32) (end, count int64, ok bool) {
	if int64(k.seen.Different) < k.low {
		return 0, 0, false
	}
	for place != 0 {
		n := k.seen.Node(place)
		if n.At-at >= st.p.window {
			break
		}
		if n.At > k.settled {
			if count := k.seen.Within(n.At, st.p.window); count >= k.low {
				return n.At, count, true
			}
		}
		place = n.Newer
	}
	return 0, 0, false
}

// begin starts an episode, at the event time at which the number was reached:
// of the values before not every appearance is remembered.
func (st *valueCountState) begin(e *table.Entry[valueCountKey], m *engine.Evaluation, end, count int64) {
	k := &e.Data
	first := end - st.p.window + 1
	evidence := append(append(engine.Clauses(st.p.x, m), engine.Text("field", st.p.name)), st.p.windows.evidence()...)
	evidence = append(evidence, engine.Text("threshold", st.p.having), engine.Number("value", count), engine.Evidence{Name: "counted_values", JSON: k.seen.Sample(first, end)})
	k.Episode = st.NewEpisode(e.Key, end, "")
	k.Count, k.atLeast, k.enough = count, m.Now+st.Suppress(), 0
	evidence = append(evidence, st.shareEvidence(k)...)
	agent := k.entity(st.Rule())
	reason := fmt.Sprintf("%s had %s of %s within %s (threshold: %s)", engine.Subject(agent, e.Key), wording.Plural(count, "value"), st.p.name,
		wording.Duration(st.p.window), st.p.having)
	if all := st.denominator(k); all > 0 {
		reason = fmt.Sprintf("%s: %s of %s live agents (%s) within %s (threshold: %s)", engine.Subject(agent, e.Key), wording.Grouped(count), wording.Grouped(all),
			wording.Share(count, all), wording.Duration(st.p.window), st.p.having)
	}
	st.Raise(&k.Episode, &engine.Alert{
		At: m.Now, End: max(m.At, k.newest), Status: "firing", Key: e.Key, Entity: agent, Source: m.Event, Hosts: k.names(), HostsTotal: st.hostsTotal(k), Denominator: st.denominator(k),
		Reason:   reason,
		Evidence: append(evidence, k.trace.evidence(first, end, -count)...),
	})
}

// hostsTotal is of how many hosts some are named, where agents are counted.
func (st *valueCountState) hostsTotal(k *valueCountKey) int {
	if st.p.share == nil {
		return 0
	}
	return int(k.Count)
}

// ends is when the window has too few values, or the key is empty.
func (st *valueCountState) ends(k *valueCountKey) int64 {
	if !k.Firing() {
		return max(k.newest+st.p.window, k.settled) + st.Lateness()
	}
	return max(k.enough+st.p.window+st.KeepFiring(), k.atLeast)
}

// resolve writes the document that ends the alert of a key.
func (st *valueCountState) resolve(e *table.Entry[valueCountKey], due int64) {
	k := &e.Data
	k.settled = due - 1 // A window that ends when the episode does may begin the next.
	agent := k.entity(st.Rule())
	st.Raise(&k.Episode, &engine.Alert{
		At: due, End: k.newest, Status: "resolved", Key: e.Key, Entity: agent, Hosts: k.names(), HostsTotal: st.hostsTotal(k), Denominator: st.denominator(k),
		Reason:   fmt.Sprintf("%s has fewer values of %s again; it had up to %s", engine.Subject(agent, e.Key), st.p.name, wording.Grouped(k.Count)),
		Evidence: append([]engine.Evidence{engine.Text("field", st.p.name), engine.Text("threshold", st.p.having), engine.Number("value", k.Count)}, st.shareEvidence(k)...),
	})
}

func (k *valueCountKey) Weight() int {
	return k.Episode.Weight() + k.subjects.Weight() + k.trace.Weight() + k.seen.Weight()
}

func (k *valueCountKey) OpenAlerts(end func(engine.OpenAlert), key string, r *engine.Rule) {
	k.openOf(&k.Episode, end, key, r)
}

func (st *valueCountState) OpenAlerts(end func(engine.OpenAlert)) {
	engine.OpenAlertsIn(st.table, st.Rule(), end)
}

func (st *valueCountState) Persist(a *engine.Archive) {
	engine.PersistTable(a, st.table, func(e *table.Entry[valueCountKey]) {
		k := &e.Data
		k.Episode.Persist(a)
		k.subjects.persist(a)
		k.trace.persist(a)
		k.seen.Persist(a.Codec, st.seed)
		k.Episode.PersistFiring(a)
		for _, t := range []*int64{&k.newest, &k.atLeast, &k.enough, &k.settled} {
			a.Time(t)
		}
		if st.p.share != nil {
			snapshot.Int(a.Codec, &k.low)
			snapshot.Int(a.Codec, &k.live)
		} else {
			k.low = st.p.low
		}
	})
}

func (st *valueCountState) missed(e *table.Entry[valueCountKey], m *engine.Evaluation) {
	most, end := int64(0), m.At
	seen := &e.Data.seen
	for place := seen.Oldest; place != 0; place = seen.Node(place).Newer {
		if at := seen.Node(place).At; at >= m.At && at-m.At < st.p.window {
			if n := seen.Within(at, st.p.window); n > most {
				most, end = n, at
			}
		}
	}
	most = max(most, seen.Within(m.At, st.p.window))
	offerCount(&st.RuleSession, e.Key, end, most, e.Data.low, math.MaxInt64, "different value of "+st.p.name, st.p.having, wording.Duration(st.p.window))
}
