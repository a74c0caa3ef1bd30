package kinds

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// Change is the kind of rule that alerts when a field has another value than before.
func Change() engine.Kind {
	return engine.Kind{
		Name:    "change",
		Meaning: "a field has another value than before",
		New:     func() engine.Declaration { return newChangeRule() },
		Keys: map[string]string{
			"field":     "The field whose value is watched.",
			"condition": "Which events carry the value; without it all that have the field.",
			"from":      "Only changes from one of these values.",
			"to":        "Only changes to one of these values.",
			"direction": "up or down: only changes that way, compared as versions.",
			"returns":   "Only where the value has gone back to the one before so many times in a row.",
			"window":    "How long a value is remembered that is not heard again.",
		},
		Words: map[string][]string{"direction": {"up", "down"}},
		Scaffold: `field: edr.policy.name
window: 4h
tests:
  - name: another policy
    events:
      - {at: +0m, set: {agent.id: a1, edr.policy.name: strict}}
      - {at: +1h, set: {agent.id: a1, edr.policy.name: lax}}
    expect: [{by: +1h, alerts: 1}]
  - name: the same policy
    events: [{at: +0m, repeat: {count: 5, every: 1h}, set: {agent.id: a1, edr.policy.name: strict}}]
    expect: [{by: +1d, alerts: 0}]
`,
	}
}

// changeRule alerts when a field of a key has another value than in the event
// before.
type changeRule struct {
	spec.Header `yaml:",inline"`
	Condition   strict.Text   `yaml:"condition"` // Which events tell the value; all that have the field without it.
	Field       string        `yaml:"field,required"`
	From        []string      `yaml:"from"`            // Only changes from one of these.
	To          []string      `yaml:"to"`              // Only changes to one of these.
	Direction   string        `yaml:"direction"`       // up or down: only that way, compared as versions.
	Returns     int64         `yaml:"returns"`         // Only where the value has gone back to the one before so many times.
	Window      time.Duration `yaml:"window,required"` // How long a value is remembered that is not heard again.
}

func newChangeRule() *changeRule { return &changeRule{Header: spec.DefaultHeader()} }

func (d *changeRule) Check(c *spec.Checker) {
	c.Positive("window", d.Window, false)
	if d.Direction != "" {
		c.OneOf("direction", d.Direction, []string{"up", "down"})
	}
	if d.Returns < 0 || d.Returns > 1000 {
		c.Problem("returns", fmt.Sprintf("returns is %d, expected 1 to 1000", d.Returns), "")
	}
	if d.Returns > 0 && (d.Direction != "" || len(d.From) > 0 || len(d.To) > 0) {
		c.Problem("returns", "from, to and direction have no meaning beside returns", "")
	}
	if len(d.From) == 1 && len(d.To) == 1 && d.From[0] == d.To[0] {
		c.Problem("to", fmt.Sprintf("from and to are both %q, so that nothing would be a change", d.To[0]), "")
	}
}

func (d *changeRule) Compile(c *engine.Compiler) engine.Plan {
	p := &changePlan{name: d.Field, from: d.From, to: d.To, direction: d.Direction, returns: d.Returns, window: int64(d.Window)}
	p.field = c.Field("field", d.Field)
	source := d.Condition
	if source.Value == "" {
		source.Value = fmt.Sprintf("has(field(%q))", d.Field)
	}
	if !c.OK() {
		return nil
	}
	if p.x = c.Condition(source); p.x == nil {
		return nil
	}
	return p
}

// changePlan is a compiled change rule.
type changePlan struct {
	x         *expression.Expression
	field     ecs.ID
	name      string
	from, to  []string
	direction string
	returns   int64
	window    int64
}

// isHost reports whether the field is the name of the host.
func (p *changePlan) isHost() bool { return p.field == ecs.HostName || p.field == ecs.HostHostname }

func (p *changePlan) Horizon() time.Duration { return time.Duration(p.window) }

func (p *changePlan) Hooks() []engine.Hook {
	h := engine.NewHook(0, "condition", p.x)
	h.Alternatives = withPresence(h.Alternatives, p.field)
	return []engine.Hook{h}
}

// asked reports whether a change is one that the rule is about.
func (p *changePlan) asked(from, to string) bool {
	if len(p.from) > 0 && !slices.Contains(p.from, from) || len(p.to) > 0 && !slices.Contains(p.to, to) {
		return false
	}
	switch p.direction {
	case "up":
		return expression.CompareVersions(to, from) > 0
	case "down":
		return expression.CompareVersions(to, from) < 0
	}
	return true
}

func (p *changePlan) Traits() engine.Traits {
	return engine.Traits{Endless: true, Copies: true, Forwards: true, Reads: []ecs.ID{p.field}}
}

func (p *changePlan) NewState(s *engine.Session, r *engine.Rule) engine.State {
	st := &changeState{RuleSession: engine.NewRuleSession(s, r), p: p, table: engine.NewTable[changeKey](s, r)}
	st.found = newOccurrences(&st.RuleSession)
	return st
}

// changeState holds the last values of a change rule.
type changeState struct {
	engine.RuleSession
	p     *changePlan
	table *table.Keyed[changeKey]
	found occurrences
	host  []byte
}

// changeKey is the last value of a key.
type changeKey struct {
	value  string
	since  int64 // Event time of its first appearance.
	newest int64 // Event time of its last one.

	// Where the rule is about returns: the value before, and how many times in a
	// row it was gone back to, each within a window.
	before  string
	returns int64
}

// turn notes the change to another value.
func (k *changeKey) turn(to string, at, window int64) {
	if to == k.before && at-k.since < window {
		k.returns++
	} else {
		k.returns = 0
	}
	k.before = k.value
}

func (st *changeState) KeyCount() (int, uint64) {
	return st.table.Held(), st.table.Evicted + st.found.table.Evicted
}

func (st *changeState) Next() int64 { return earliest(st.table, st.found.table) }

func (st *changeState) Observe(_ int, m *engine.Evaluation) {
	if m.Late {
		st.CountLate()
		return
	}
	v := m.Event.Get(st.p.field)
	if v == nil || len(v.List()) > 1 { // Of several values none is the one.
		return
	}
	key, ok := st.GroupKey(m)
	if !ok {
		return
	}
	e, created := st.table.Obtain(key)
	k := &e.Data
	if !created && m.At < k.newest {
		st.CountLate() // What happened before is no news about the present.
		return
	}
	if !e.Timed() {
		due := max(m.At, k.newest) + st.p.window + st.Lateness()
		st.table.Wake(e, max(due, st.Now()+1))
		st.WakeAt(e.Due)
	}
	value := st.valueOf(v)
	forgotten := !created && m.At-k.newest >= st.p.window
	k.newest = m.At
	if forgotten { // Nor is it known what was before.
		k.before, k.returns, k.since = "", 0, m.At
	}
	if !created && value == k.value {
		if st.NearMisses() != nil {
			st.missed(e, m, false, false, k.value)
		}
		return
	}
	from, since := k.value, k.since
	if st.p.returns > 0 && !created && !forgotten {
		k.turn(value, m.At, st.p.window)
	}
	k.value, k.since = strings.Clone(value), m.At
	if created || forgotten || !st.p.asked(from, k.value) || k.returns < st.p.returns {
		if st.NearMisses() != nil {
			st.missed(e, m, created, forgotten, from)
		}
		return
	}
	st.Mark(m)
	st.report(e.Key, m, from, since, k.returns)
}

// valueOf is the value of the field, valid until the next call. A host is
// called the same with and without its domain, as in the rest of the session.
func (st *changeState) valueOf(v *event.Value) string {
	if !st.p.isHost() {
		if list := v.List(); len(list) == 1 {
			return list[0]
		}
		return v.Str()
	}
	st.host = engine.AppendShortHost(st.host[:0], v.Str())
	return event.View(st.host)
}

func (st *changeState) report(key string, m *engine.Evaluation, from string, since, returns int64) {
	to := strings.Clone(st.valueOf(m.Event.Get(st.p.field)))
	evidence := append(engine.Clauses(st.p.x, m), []engine.Evidence{
		engine.Text("field", st.p.name), engine.Text("from", from), engine.Text("to", to),
		engine.Text("from_since", wording.TimeText(since)),
	}...)
	if id := m.Event.Str(ecs.EventID); id != "" {
		evidence = append(evidence, engine.Text("event_id", id))
	}
	reason := fmt.Sprintf("%s of %s changed from %s to %s", st.p.name, engine.Subject(m.Entity, key), from, to)
	if returns > 0 {
		reason = fmt.Sprintf("%s of %s went back and forth between %s and %s, %d times", st.p.name, engine.Subject(m.Entity, key), from, to, returns)
		evidence = append(evidence, engine.Evidence{Name: "returns", JSON: strconv.FormatInt(returns, 10)})
	}
	hosts := st.hosts(m, from, to)
	if len(hosts) > 1 && !st.p.isHost() {
		reason += "; it was on " + strings.Join(hosts, " and ")
	}
	f := finding{
		key: key, at: m.Now, start: m.At, end: m.At, source: m.Event, hosts: hosts, further: from + " → " + to,
		reason: reason, evidence: evidence,
	}
	if st.AboutAgents() {
		f.entity = m.Entity
	}
	st.found.report(&f)
}

// hosts are those of a value that goes back and forth: one agent on two hosts.
func (st *changeState) hosts(m *engine.Evaluation, from, to string) []string {
	if st.p.returns == 0 || m.Entity == nil {
		return nil
	}
	names := st.HostsOf(m.Entity)
	if len(names) < 2 && st.p.isHost() {
		return []string{to, from}
	}
	return names
}

// Fire forgets a value that was not heard again, or ends an episode.
func (st *changeState) Fire(due int64) {
	if st.found.next() == due {
		st.found.fire(due)
		return
	}
	e := st.table.Next()
	if at := e.Data.newest + st.p.window + st.Lateness(); at > due {
		st.table.Wake(e, at)
		st.WakeAt(at)
		return
	}
	st.table.Remove(e)
}

func (k *changeKey) Weight() int {
	return table.Allocated(len(k.value)) + table.Allocated(len(k.before))
}

func (k *changeKey) OpenAlerts(func(engine.OpenAlert), string, *engine.Rule) {}

func (st *changeState) OpenAlerts(end func(engine.OpenAlert)) { st.found.open(end) }

func (st *changeState) Persist(a *engine.Archive) {
	engine.PersistTable(a, st.table, func(e *table.Entry[changeKey]) {
		a.Shared(&e.Data.value)
		a.Time(&e.Data.since)
		a.Time(&e.Data.newest)
		if st.p.returns > 0 {
			a.Shared(&e.Data.before)
			snapshot.Int(a.Codec, &e.Data.returns)
		}
	})
	st.found.persist(a)
}

// missed offers a value that is no change, or not the one that is asked for.
func (st *changeState) missed(e *table.Entry[changeKey], m *engine.Evaluation, created, forgotten bool, from string) {
	k, p := &e.Data, st.p
	miss := engine.NearMiss{Rule: st.Rule(), Stage: engine.MissedBound, Key: e.Key, At: m.At}
	switch {
	case created:
		miss.Nearness = 0.1
		miss.Reason = fmt.Sprintf("had %s %s, its first value, which is no change", p.name, k.value)
	case from == k.value:
		miss.Nearness = 0.2
		miss.Reason = fmt.Sprintf("still had %s %s", p.name, k.value)
	case forgotten:
		miss.Nearness = 0.5
		miss.Reason = fmt.Sprintf("had %s %s after %s, which was forgotten by then (window: %s)", p.name, k.value, from, wording.Duration(p.window))
	case !p.asked(from, k.value):
		miss.Nearness = 0.8
		miss.Reason = fmt.Sprintf("changed %s from %s to %s; the rule asks for a change%s", p.name, from, k.value, p.wish())
	default:
		miss.Measure, miss.Value, miss.Bound = "returns", float64(k.returns), float64(p.returns)
		miss.Nearness = 0.8 + 0.2*float64(k.returns)/float64(p.returns)
		miss.Reason = fmt.Sprintf("changed %s from %s to %s, and went back %s in a row; the rule asks for %d (returns)", p.name, from, k.value, wording.Times(k.returns), p.returns)
	}
	st.NearMisses().Offer(miss)
}

// wish says which changes the rule is about.
func (p *changePlan) wish() string {
	said := ""
	if len(p.from) > 0 {
		said += " from " + wording.Joined(p.from)
	}
	if len(p.to) > 0 {
		said += " to " + wording.Joined(p.to)
	}
	if p.direction != "" {
		said += " that goes " + p.direction
	}
	return said
}
