package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// Change is the kind of rule that alerts when a field has another value than before.
func Change() Kind {
	return Kind{
		Name: "change",
		New:  func() declaration { return newChangeRule() },
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
	Header    `yaml:",inline"`
	Condition strict.Text   `yaml:"condition"` // Which events tell the value; all that have the field without it.
	Field     string        `yaml:"field,required"`
	From      []string      `yaml:"from"`            // Only changes from one of these.
	To        []string      `yaml:"to"`              // Only changes to one of these.
	Direction string        `yaml:"direction"`       // up or down: only that way, compared as versions.
	Returns   int64         `yaml:"returns"`         // Only where the value has gone back to the one before so many times.
	Window    time.Duration `yaml:"window,required"` // How long a value is remembered that is not heard again.
}

func newChangeRule() *changeRule { return &changeRule{Header: defaultHeader()} }

func (d *changeRule) header() *Header { return &d.Header }

func (d *changeRule) check(c *checker) {
	c.positive("window", d.Window, false)
	if d.Direction != "" {
		c.oneOf("direction", d.Direction, []string{"up", "down"})
	}
	if d.Returns < 0 || d.Returns > 1000 {
		c.problem("returns", fmt.Sprintf("returns is %d, expected 1 to 1000", d.Returns), "")
	}
	if d.Returns > 0 && (d.Direction != "" || len(d.From) > 0 || len(d.To) > 0) {
		c.problem("returns", "from, to and direction have no meaning beside returns", "")
	}
	if len(d.From) == 1 && len(d.To) == 1 && d.From[0] == d.To[0] {
		c.problem("to", fmt.Sprintf("from and to are both %q, so that nothing would be a change", d.To[0]), "")
	}
}

func (d *changeRule) compile(c *compiler) plan {
	p := &changePlan{name: d.Field, from: d.From, to: d.To, direction: d.Direction, returns: d.Returns, window: int64(d.Window)}
	p.field = c.field("field", d.Field)
	source := d.Condition
	if source.Value == "" {
		source.Value = fmt.Sprintf("has(field(%q))", d.Field)
	}
	if !c.ok() {
		return nil
	}
	if p.x = c.condition(source); p.x == nil {
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

func (p *changePlan) horizon() time.Duration { return time.Duration(p.window) }

func (p *changePlan) hooks() []hook {
	h := hookOf(0, "condition", p.x)
	h.alternatives = withPresence(h.alternatives, p.field)
	return []hook{h}
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

func (p *changePlan) traits() traits { return traits{endless: true, copies: true} }

func (p *changePlan) newState(s *Session, r *Rule) state {
	st := &changeState{RuleSession: RuleSession{s, r}, p: p, table: tableOf[changeKey](s, r)}
	st.found = newOccurrences(&st.RuleSession)
	return st
}

// changeState holds the last values of a change rule.
type changeState struct {
	RuleSession
	p     *changePlan
	table *keyed[changeKey]
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

func (st *changeState) keys() (int, uint64) {
	return st.table.held(), st.table.evicted + st.found.table.evicted
}
func (st *changeState) next() int64 { return earliest(st.table, st.found.table) }

func (st *changeState) observe(_ int, m *moment) {
	if m.late {
		st.countLate()
		return
	}
	v := m.e.Get(st.p.field)
	if v == nil || len(v.List()) > 1 { // Of several values none is the one.
		return
	}
	key, ok := st.groupKey(m)
	if !ok {
		return
	}
	e, created := st.table.obtain(key)
	k := &e.data
	if !created && m.at < k.newest {
		st.countLate() // What happened before is no news about the present.
		return
	}
	if !e.timed() {
		due := max(m.at, k.newest) + st.p.window + st.lateness()
		st.table.wake(e, max(due, st.now()+1))
		st.wakeAt(e.due)
	}
	value := st.valueOf(v)
	forgotten := !created && m.at-k.newest >= st.p.window
	k.newest = m.at
	if forgotten { // Nor is it known what was before.
		k.before, k.returns, k.since = "", 0, m.at
	}
	if !created && value == k.value {
		if st.near() != nil {
			st.missed(e, m, false, false, k.value)
		}
		return
	}
	from, since := k.value, k.since
	if st.p.returns > 0 && !created && !forgotten {
		k.turn(value, m.at, st.p.window)
	}
	k.value, k.since = strings.Clone(value), m.at
	if created || forgotten || !st.p.asked(from, k.value) || k.returns < st.p.returns {
		if st.near() != nil {
			st.missed(e, m, created, forgotten, from)
		}
		return
	}
	st.mark(m)
	st.report(e.key, m, from, since, k.returns)
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
	st.host = appendShort(st.host[:0], v.Str())
	return event.View(st.host)
}

func (st *changeState) report(key string, m *moment, from string, since, returns int64) {
	to := strings.Clone(st.valueOf(m.e.Get(st.p.field)))
	evidence := append(clauses(st.p.x, m), []pair{
		text("field", st.p.name), text("from", from), text("to", to),
		text("from_since", timeText(since)),
	}...)
	if id := m.e.Str(ecs.EventID); id != "" {
		evidence = append(evidence, text("event_id", id))
	}
	reason := fmt.Sprintf("%s of %s changed from %s to %s", st.p.name, subject(m.entity, key), from, to)
	if returns > 0 {
		reason = fmt.Sprintf("%s of %s went back and forth between %s and %s, %d times", st.p.name, subject(m.entity, key), from, to, returns)
		evidence = append(evidence, pair{"returns", strconv.FormatInt(returns, 10)})
	}
	hosts := st.hosts(m, from, to)
	if len(hosts) > 1 && !st.p.isHost() {
		reason += "; it was on " + strings.Join(hosts, " and ")
	}
	f := finding{
		key: key, at: m.now, start: m.at, end: m.at, source: m.e, hosts: hosts, further: from + " → " + to,
		reason: reason, evidence: evidence,
	}
	if st.aboutAgents() {
		f.entity = m.entity
	}
	st.found.report(&f)
}

// hosts are those of a value that goes back and forth: one agent on two hosts.
func (st *changeState) hosts(m *moment, from, to string) []string {
	if st.p.returns == 0 || m.entity == nil {
		return nil
	}
	names := st.hostsOf(m.entity)
	if len(names) < 2 && st.p.isHost() {
		return []string{to, from}
	}
	return names
}

// fire forgets a value that was not heard again, or ends an episode.
func (st *changeState) fire(due int64) {
	if st.found.next() == due {
		st.found.fire(due)
		return
	}
	e := st.table.next()
	if at := e.data.newest + st.p.window + st.lateness(); at > due {
		st.table.wake(e, at)
		st.wakeAt(at)
		return
	}
	st.table.remove(e)
}
