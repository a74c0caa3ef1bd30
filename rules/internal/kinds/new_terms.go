package kinds

import (
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/cespare/xxhash/v2"

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

// NewTerms is the kind of rule that alerts on values not seen before.
func NewTerms() engine.Kind {
	return engine.Kind{
		Name:    "new_terms",
		Meaning: "a value was not seen for a time before",
		New:     func() engine.Declaration { return newNewTermsRule() },
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
	spec.Header `yaml:",inline"`
	Condition   strict.Text   `yaml:"condition,required"`
	Fields      []string      `yaml:"fields,required"`
	Window      time.Duration `yaml:"window,required"` // How far back a value is known.
	Learn       time.Duration `yaml:"learn"`           // A key's first time, in which everything is new.
	MaxTerms    int           `yaml:"max_terms"`       // Values known of a key.
}

func newNewTermsRule() *newTermsRule {
	return &newTermsRule{Header: spec.DefaultHeader(), Learn: time.Hour, MaxTerms: 256}
}

func (d *newTermsRule) Check(c *spec.Checker) {
	c.Positive("window", d.Window, false)
	c.Positive("learn", d.Learn, true)
	if d.Learn >= d.Window && d.Window > 0 {
		c.Problem("learn", "learn is not shorter than window, so that nothing learnt would be known", "")
	}
	if len(d.Fields) < 1 || len(d.Fields) > 3 {
		c.Problem("fields", fmt.Sprintf("fields names %d fields, expected 1 to 3", len(d.Fields)), "")
	}
	if d.MaxTerms < 1 || d.MaxTerms > 4096 {
		c.Problem("max_terms", fmt.Sprintf("max_terms is %d, expected 1 to 4096", d.MaxTerms), "")
	}
}

func (d *newTermsRule) Compile(c *engine.Compiler) engine.Plan {
	p := &newTermsPlan{x: c.Condition(d.Condition), window: int64(d.Window), learn: int64(d.Learn), max: d.MaxTerms, names: d.Fields}
	for _, name := range d.Fields {
		p.fields = append(p.fields, c.Field("fields", name))
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

func (p *newTermsPlan) Horizon() time.Duration { return time.Duration(p.window) }

func (p *newTermsPlan) Hooks() []engine.Hook {
	h := engine.NewHook(0, "condition", p.x)
	for _, id := range p.fields {
		h.Alternatives = withPresence(h.Alternatives, id)
	}
	return []engine.Hook{h}
}

func (p *newTermsPlan) Traits() engine.Traits {
	return engine.Traits{Endless: true, Copies: true, Forwards: true, Reads: p.fields}
}

func (p *newTermsPlan) NewState(s *engine.Session, r *engine.Rule) engine.State {
	st := &newTermsState{RuleSession: engine.NewRuleSession(s, r), p: p, table: engine.NewTable[newTermsKey](s, r)}
	st.found = newOccurrences(&st.RuleSession)
	return st
}

// newTermsState holds what was seen of each key.
type newTermsState struct {
	engine.RuleSession
	p       *newTermsPlan
	table   *table.Keyed[newTermsKey]
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

func (st *newTermsState) KeyCount() (int, uint64) {
	return st.table.Held(), st.table.Evicted + st.found.table.Evicted + st.evicted
}

func (st *newTermsState) Next() int64 { return earliest(st.table, st.found.table) }

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

func (st *newTermsState) Observe(_ int, m *engine.Evaluation) {
	if m.Late {
		st.CountLate()
		return
	}
	if !st.read(m.Event) {
		return
	}
	key, ok := st.GroupKey(m)
	if !ok {
		return
	}
	e, created := st.table.Obtain(key)
	k := &e.Data
	if created {
		k.since = m.At
		st.table.Wake(e, m.Now+st.p.window+st.Lateness())
		st.WakeAt(e.Due)
	}
	k.since, k.last = min(k.since, m.At), m.Now
	var last int64
	if st.NearMisses() != nil {
		last = st.lastSeen(k)
	}
	fresh := st.learn(k, m.At)
	if !fresh || m.At-k.since < st.p.learn {
		if st.NearMisses() != nil {
			st.missed(e, m, last, fresh)
		}
		return
	}
	st.Mark(m)
	st.report(e.Key, m, len(k.terms))
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

func (st *newTermsState) report(key string, m *engine.Evaluation, known int) {
	value := string(st.term)
	evidence := append(engine.Clauses(st.p.x, m), []engine.Evidence{{Name: "fields", JSON: wording.JSONList(st.p.names)}, engine.Text("value", value), engine.Number("known_values", int64(known-1)), engine.Text("window", wording.Duration(st.p.window))}...)
	if id := m.Event.Str(ecs.EventID); id != "" {
		evidence = append(evidence, engine.Text("event_id", id))
	}
	f := finding{
		key: key, at: m.Now, start: m.At, end: m.At, source: m.Event, further: value,
		reason:   fmt.Sprintf("%s has a value of %s that it has not had for %s: %s", engine.Subject(m.Entity, key), wording.Joined(st.p.names), wording.Duration(st.p.window), value),
		evidence: evidence,
	}
	if st.AboutAgents() {
		f.entity = m.Entity
	}
	st.found.report(&f)
}

// Fire forgets a key that was not heard for a window, or ends an episode.
func (st *newTermsState) Fire(due int64) {
	if st.found.next() == due {
		st.found.fire(due)
		return
	}
	e := st.table.Next()
	if at := e.Data.last + st.p.window + st.Lateness(); at > due {
		st.table.Wake(e, at)
		st.WakeAt(at)
		return
	}
	st.table.Remove(e)
}

func (k *newTermsKey) Weight() int { return table.Grown(len(k.terms), int(unsafe.Sizeof(term{}))) }

func (k *newTermsKey) OpenAlerts(func(engine.OpenAlert), string, *engine.Rule) {}

func (st *newTermsState) OpenAlerts(end func(engine.OpenAlert)) { st.found.open(end) }

func (st *newTermsState) Persist(a *engine.Archive) {
	engine.PersistTable(a, st.table, func(e *table.Entry[newTermsKey]) {
		k := &e.Data
		a.Time(&k.since)
		a.Time(&k.last)
		snapshot.List(a.Codec, &k.terms, func(t *term) {
			a.Fixed(&t.hash)
			a.Time(&t.last)
		})
	})
	st.found.persist(a)
}

// lastSeen is when the value in st.term was seen last; 0 if never.
func (st *newTermsState) lastSeen(k *newTermsKey) int64 {
	hash := xxhash.Sum64(st.term)
	i := slices.IndexFunc(k.terms, func(t term) bool { return t.hash == hash })
	if i < 0 {
		return 0
	}
	return k.terms[i].last
}

// missed offers a value that is known, or new while everything is.
func (st *newTermsState) missed(e *table.Entry[newTermsKey], m *engine.Evaluation, last int64, fresh bool) {
	k, p := &e.Data, st.p
	miss := engine.NearMiss{Rule: st.Rule(), Stage: engine.MissedBound, Key: e.Key, At: m.At, Measure: "seconds"}
	if fresh {
		age := m.At - k.since
		miss.Value, miss.Bound = wording.Seconds(age), wording.Seconds(p.learn)
		miss.Nearness = 0.5 + 0.5*float64(age)/float64(max(p.learn, 1))
		miss.Reason = fmt.Sprintf("had a new %s of %s, %s after its first event; in the first %s nothing is new (learn)", wording.Joined(p.names), st.term,
			wording.Duration(age), wording.Duration(p.learn))
	} else {
		age := max(m.At-last, 0)
		miss.Value, miss.Bound = wording.Seconds(age), wording.Seconds(p.window)
		miss.Nearness = 0.5 * float64(age) / float64(p.window)
		miss.Reason = fmt.Sprintf("had %s %s, which it had %s before; the rule asks for one not seen for %s (window)", wording.Joined(p.names), st.term,
			wording.Duration(age), wording.Duration(p.window))
	}
	st.NearMisses().Offer(miss)
}
