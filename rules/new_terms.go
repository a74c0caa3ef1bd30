package rules

import (
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// NewTerms is the kind of rule that alerts on values not seen before.
func NewTerms() Kind {
	return Kind{
		Name: "new_terms",
		New:  func() declaration { return newNewTermsRule() },
		Keys: map[string]string{
			"fields":    "One to three fields whose combined value has to be new.",
			"window":    "How far back a value is known.",
			"learn":     "The first time of a key, in which nothing counts as new.",
			"max_terms": "Values that are remembered of a key.",
		},
		Scaffold: `condition: event.action == "module-loaded"
fields: [edr.module.name]
window: 4h
learn: 1h
tests:
  - name: a new module
    events:
      - {at: +0m, repeat: {count: 4, every: 30m}, set: {event.action: module-loaded, agent.id: a1, edr.module.name: usual.dll}}
      - {at: +2h, set: {event.action: module-loaded, agent.id: a1, edr.module.name: new.dll}}
    expect: [{by: +2h, alerts: 1}]
  - name: the usual module
    events: [{at: +0m, repeat: {count: 6, every: 30m}, set: {event.action: module-loaded, agent.id: a1, edr.module.name: usual.dll}}]
    expect: [{by: +1d, alerts: 0}]
`,
	}
}

// newTermsRule alerts when a value, or a combination of values, was not seen
// for a key within a time before, as the type of that name in Elastic's rules.
type newTermsRule struct {
	Header    `yaml:",inline"`
	Condition strict.Text   `yaml:"condition,required"`
	Fields    []string      `yaml:"fields,required"`
	Window    time.Duration `yaml:"window,required"` // How far back a value is known.
	Learn     time.Duration `yaml:"learn"`           // A key's first time, in which everything is new.
	MaxTerms  int           `yaml:"max_terms"`       // Values known of a key.
}

func newNewTermsRule() *newTermsRule {
	return &newTermsRule{Header: defaultHeader(), Learn: time.Hour, MaxTerms: 256}
}

func (d *newTermsRule) header() *Header { return &d.Header }

func (d *newTermsRule) check(c *checker) {
	c.positive("window", d.Window, false)
	c.positive("learn", d.Learn, true)
	if d.Learn >= d.Window && d.Window > 0 {
		c.problem("learn", "learn is not shorter than window, so that nothing learnt would be known", "")
	}
	if len(d.Fields) < 1 || len(d.Fields) > 3 {
		c.problem("fields", fmt.Sprintf("fields names %d fields, expected 1 to 3", len(d.Fields)), "")
	}
	if d.MaxTerms < 1 || d.MaxTerms > 4096 {
		c.problem("max_terms", fmt.Sprintf("max_terms is %d, expected 1 to 4096", d.MaxTerms), "")
	}
}

func (d *newTermsRule) compile(c *compiler) plan {
	p := &newTermsPlan{x: c.condition(d.Condition), window: int64(d.Window), learn: int64(d.Learn), max: d.MaxTerms, names: d.Fields}
	for _, name := range d.Fields {
		p.fields = append(p.fields, c.field("fields", name))
	}
	if p.x == nil {
		return nil
	}
	return p
}

// newTermsPlan is a compiled new_terms rule.
type newTermsPlan struct {
	x             *expression.Expression
	fields        []ecs.ID
	names         []string
	window, learn int64
	max           int
}

func (p *newTermsPlan) horizon() time.Duration { return time.Duration(p.window) }

func (p *newTermsPlan) hooks() []hook {
	h := hookOf(0, "condition", p.x)
	for _, id := range p.fields {
		h.alternatives = withPresence(h.alternatives, id)
	}
	return []hook{h}
}

func (p *newTermsPlan) traits() traits { return traits{endless: true, copies: true} }

func (p *newTermsPlan) newState(s *Session, r *Rule) state {
	st := &newTermsState{RuleSession: RuleSession{s, r}, p: p, table: tableOf[newTermsKey](s, r)}
	st.found = newOccurrences(&st.RuleSession)
	return st
}

// newTermsState holds what was seen of each key.
type newTermsState struct {
	RuleSession
	p       *newTermsPlan
	table   *keyed[newTermsKey]
	found   occurrences
	evicted uint64 // Terms.
	term    []byte
}

// newTermsKey is what was seen of one key. A term stands for its hash: of a
// few hundred, two collide once in 10^14 keys.
type newTermsKey struct {
	since int64 // Event time of the first event.
	last  int64 // Clock of the last event.
	terms []term
}

type term struct {
	hash uint64
	last int64
}

func (st *newTermsState) keys() (int, uint64) {
	return st.table.held(), st.table.evicted + st.found.table.evicted + st.evicted
}
func (st *newTermsState) next() int64 { return earliest(st.table, st.found.table) }

// read joins the values of the fields; false when one is missing.
func (st *newTermsState) read(e *event.Event) bool {
	st.term = st.term[:0]
	for i, id := range st.p.fields {
		v := e.Get(id)
		if v == nil {
			return false
		}
		if i > 0 {
			st.term = append(st.term, " | "...)
		}
		st.term = append(st.term, v.Str()...)
	}
	return true
}

func (st *newTermsState) observe(_ int, m *moment) {
	if m.late {
		st.countLate()
		return
	}
	if !st.read(m.e) {
		return
	}
	key, ok := st.groupKey(m)
	if !ok {
		return
	}
	e, created := st.table.obtain(key)
	k := &e.data
	if created {
		k.since = m.at
		st.table.wake(e, m.now+st.p.window+st.lateness())
		st.wakeAt(e.due)
	}
	k.since, k.last = min(k.since, m.at), m.now
	var last int64
	if st.near() != nil {
		last = st.lastSeen(k)
	}
	fresh := st.learn(k, m.at)
	if !fresh || m.at-k.since < st.p.learn {
		if st.near() != nil {
			st.missed(e, m, last, fresh)
		}
		return
	}
	st.mark(m)
	st.report(e.key, m, len(k.terms))
}

// learn notes the term and reports whether it is new.
func (st *newTermsState) learn(k *newTermsKey, at int64) bool {
	hash := xxhash.Sum64(st.term)
	oldest := 0
	for i := range k.terms {
		t := &k.terms[i]
		if t.hash == hash {
			fresh := at-t.last >= st.p.window
			t.last = max(t.last, at)
			return fresh
		}
		if t.last < k.terms[oldest].last {
			oldest = i
		}
	}
	if len(k.terms) < st.p.max {
		k.terms = append(k.terms, term{hash, at})
		return true
	}
	if at-k.terms[oldest].last < st.p.window {
		st.evicted++
	}
	k.terms[oldest] = term{hash, at}
	return true
}

func (st *newTermsState) report(key string, m *moment, known int) {
	value := string(st.term)
	evidence := append(clauses(st.p.x, m), []pair{{"fields", jsonList(st.p.names)}, text("value", value), number("known_values", int64(known-1)), text("window", duration(st.p.window))}...)
	if id := m.e.Str(ecs.EventID); id != "" {
		evidence = append(evidence, text("event_id", id))
	}
	f := finding{
		key: key, at: m.now, start: m.at, end: m.at, source: m.e, further: value,
		reason:   fmt.Sprintf("%s has a value of %s that it has not had for %s: %s", subject(m.entity, key), joined(st.p.names), duration(st.p.window), value),
		evidence: evidence,
	}
	if st.aboutAgents() {
		f.entity = m.entity
	}
	st.found.report(&f)
}

// fire forgets a key that was not heard for a window, or ends an episode.
func (st *newTermsState) fire(due int64) {
	if st.found.next() == due {
		st.found.fire(due)
		return
	}
	e := st.table.next()
	if at := e.data.last + st.p.window + st.lateness(); at > due {
		st.table.wake(e, at)
		st.wakeAt(at)
		return
	}
	st.table.remove(e)
}
