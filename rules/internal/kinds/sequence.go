package kinds

import (
	"fmt"
	"math"
	"slices"
	"time"
	"unsafe"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/table"
)

// Sequence is the kind of rule that alerts on events one after the other.
func Sequence() engine.Kind {
	return engine.Kind{
		Name:    "sequence",
		Meaning: "events satisfy several conditions one after the other, or one does not come",
		New:     func() engine.Declaration { return newSequenceRule() },
		Keys: map[string]string{
			"steps":   "What happens one after the other.",
			"maxspan": "The longest time from the first to the last step that has to come.",
			"ordered": "false: the steps may come in any order.",
			"grace":   "How long a last, absent step is waited for in case it comes late.",
			"absent":  "The step must not come between its neighbours.",
		},
		Scaffold: `maxspan: 10m
steps:
  - {name: the agent crashed, condition: 'event.action == "sensor-crashed"'}
  - {name: it started again, condition: 'event.action == "sensor-started"', absent: true}
  - {name: the host crashed, condition: 'event.action == "host-crashed"'}
tests:
  - name: crash after crash
    events:
      - {at: +0m, set: {event.action: sensor-crashed, agent.id: a1}}
      - {at: +5m, set: {event.action: host-crashed, agent.id: a1}}
    expect: [{by: +5m, alerts: 1}]
  - name: recovered in between
    events:
      - {at: +0m, set: {event.action: sensor-crashed, agent.id: a1}}
      - {at: +1m, set: {event.action: sensor-started, agent.id: a1}}
      - {at: +5m, set: {event.action: host-crashed, agent.id: a1}}
    expect: [{by: +1h, alerts: 0}]
`,
	}
}

// sequenceRule alerts when events of a key satisfy several conditions one
// after the other, as sequences in EQL. A step may be one that must not come.
type sequenceRule struct {
	spec.Header `yaml:",inline"`
	Steps       []sequenceStep `yaml:"steps,required"`
	Maxspan     time.Duration  `yaml:"maxspan,required"` // From the first to the last step that has to come.
	Ordered     bool           `yaml:"ordered"`          // false: the steps may come in any order.
	Grace       time.Duration  `yaml:"grace"`            // How long a last, absent step is waited for in case it comes late.
}

// sequenceStep is one step of a sequence.
type sequenceStep struct {
	Name      string        `yaml:"name,required"`
	Condition strict.Text   `yaml:"condition,required"`
	Absent    bool          `yaml:"absent"` // Must not come between its neighbours.
	Within    time.Duration `yaml:"within"` // Of an absent last step: how long it has to stay away.
}

// Bounds of a sequence.
const (
	maxSteps   = 8
	crowded    = 32  // Events of a key from which on they are thinned out.
	maxEntries = 128 // Events kept of a key.
)

func newSequenceRule() *sequenceRule {
	return &sequenceRule{Header: spec.DefaultHeader(), Ordered: true, Grace: time.Minute}
}

func (d *sequenceRule) Check(c *spec.Checker) {
	c.Positive("maxspan", d.Maxspan, false)
	c.Positive("grace", d.Grace, true)
	last := len(d.Steps) - 1
	if last < 1 || last >= maxSteps {
		c.Problem("steps", fmt.Sprintf("the sequence has %d steps, expected 2 to %d", len(d.Steps), maxSteps), "")
		return
	}
	for i, s := range d.Steps {
		switch {
		case s.Absent && !d.Ordered:
			c.Problem("steps", "steps in any order cannot be absent", "")
		case s.Absent && i == 0:
			c.Problem("steps", "the first step is absent: a sequence begins with something that happens", "swap the steps, or use type: match")
		case s.Absent && d.Steps[i-1].Absent:
			c.Problem("steps", fmt.Sprintf("steps %q and %q are both absent", d.Steps[i-1].Name, s.Name), "join their conditions with or")
		case s.Absent && i == last:
			c.Positive("steps", s.Within, false)
		case s.Within != 0:
			c.Problem("steps", fmt.Sprintf("step %q has within, which only an absent last step has", s.Name), "maxspan bounds the others")
		}
	}
}

func (d *sequenceRule) Compile(c *engine.Compiler) engine.Plan {
	p := &sequencePlan{maxspan: int64(d.Maxspan), grace: int64(d.Grace), anyOrder: !d.Ordered}
	for _, s := range d.Steps {
		x := c.Condition(s.Condition)
		if x == nil {
			continue
		}
		p.conditions = append(p.conditions, x)
		p.names = append(p.names, s.Name)
		p.absent = append(p.absent, s.Absent)
		p.within = int64(s.Within)
	}
	if len(p.conditions) != len(d.Steps) {
		return nil
	}
	return p
}

// sequencePlan is a compiled sequence rule.
type sequencePlan struct {
	conditions []*expression.Expression
	names      []string
	absent     []bool
	maxspan    int64
	within     int64 // Of an absent last step; 0: the last step has to come.
	grace      int64
	anyOrder   bool
}

func (p *sequencePlan) Horizon() time.Duration { return time.Duration(p.maxspan + p.within + p.grace) }

func (p *sequencePlan) Hooks() []engine.Hook {
	list := make([]engine.Hook, len(p.conditions))
	for i, x := range p.conditions {
		list[i] = engine.NewHook(i, "step "+p.names[i], x)
		list[i].Unexcepted = p.absent[i]
	}
	return list
}

// Traits: a copy is no second step where no event can be two.
func (p *sequencePlan) Traits() engine.Traits {
	for i, x := range p.conditions {
		for _, y := range p.conditions[:i] {
			if x.Excludes(y) == "" {
				return engine.Traits{Endless: true, Forwards: true}
			}
		}
	}
	return engine.Traits{Endless: true, Copies: true, Forwards: true}
}

func (p *sequencePlan) NewState(s *engine.Session, r *engine.Rule) engine.State {
	st := &sequenceState{RuleSession: engine.NewRuleSession(s, r), p: p, table: engine.NewTable[sequenceKey](s, r)}
	st.found = newOccurrences(&st.RuleSession)
	return st
}

// sequenceState holds the events of a sequence rule's keys.
type sequenceState struct {
	engine.RuleSession
	p       *sequencePlan
	table   *table.Keyed[sequenceKey]
	found   occurrences
	dropped uint64
	gone    []stepEvent // Room in which steps are turned round.
	stalled int64       // The clock jumped up to here: what did not come until then proves nothing.
}

// sequenceKey is what came of one key, in order of time.
type sequenceKey struct {
	steps  []stepEvent
	crowd  int   // Number of steps at which they are thinned out again.
	used   int64 // Events up to here are part of an alert.
	newest int64
}

// stepEvent is an event that satisfies the condition of a step.
type stepEvent struct {
	at     int64
	number uint64
	entity *engine.Entity
	id     []byte // event.id; the room is used again.
	slot   int
}

// before orders events by time, then by arrival. Of the steps that one event
// satisfies absent ones come first and later ones before earlier ones, so that
// an event is never two steps of a chain.
func (p *sequencePlan) before(a, b *stepEvent) bool {
	switch {
	case a.at != b.at:
		return a.at < b.at
	case a.number != b.number:
		return a.number < b.number
	case p.absent[a.slot] != p.absent[b.slot]:
		return p.absent[a.slot]
	}
	return a.slot > b.slot
}

func (st *sequenceState) KeyCount() (int, uint64) {
	return st.table.Held(), st.table.Evicted + st.found.table.Evicted + st.dropped
}

func (st *sequenceState) Next() int64 { return earliest(st.table, st.found.table) }

// ClockJumped forgets what waits for an absent step through a stall of the feed.
func (st *sequenceState) ClockJumped(gap int64) int64 {
	if st.p.within == 0 {
		return math.MaxInt64
	}
	if gap > st.p.within/2 {
		st.stalled = st.Now() + gap
	}
	return st.p.within / 2
}

func (st *sequenceState) Observe(slot int, m *engine.Evaluation) {
	if m.Late {
		st.CountLate()
		return
	}
	key, ok := st.GroupKey(m)
	if !ok {
		return
	}
	// Also an event that begins nothing is kept: an earlier one may come late.
	e, _ := st.table.Obtain(key)
	k := &e.Data
	if m.At <= k.used {
		return
	}
	st.Mark(m)
	k.newest = max(k.newest, m.At)
	inOrder := len(k.steps) == 0 || m.At > k.steps[len(k.steps)-1].at
	st.insert(k, stepEvent{at: m.At, number: m.Number, slot: slot, entity: m.Entity}, m.Event.Str(ecs.EventID))
	last := len(st.p.absent) - 1
	if !inOrder || slot == last || st.p.anyOrder {
		st.complete(e, m)
	}
	if st.NearMisses() != nil {
		st.missed(e, m)
	}
	// What comes in order completes nothing that waits for an absent step, and
	// hastens no timer, unless it is the step before.
	if !e.Timed() || (!inOrder || slot == last-1) && e.Due > m.At+st.p.within+st.p.grace {
		st.schedule(e)
	}
}

// insert adds an event in order.
func (st *sequenceState) insert(k *sequenceKey, fresh stepEvent, id string) {
	if len(k.steps) >= maxEntries {
		st.drop(k, 1)
		st.dropped++
	}
	i := len(k.steps)
	for i > 0 && st.p.before(&fresh, &k.steps[i-1]) {
		i--
	}
	n := len(k.steps)
	k.steps = slices.Grow(k.steps, 1)[:n+1]
	fresh.id = append(k.steps[n].id[:0], id...)
	copy(k.steps[i+1:], k.steps[i:n])
	k.steps[i] = fresh
	if len(k.steps) >= max(k.crowd, crowded) {
		st.thin(k)
		k.crowd = len(k.steps) + max(crowded/2, len(k.steps)/4) // A pass over all is for a quarter more.
	}
}

// thin forgets what is too old for a chain, and leaves out events in the middle
// of a run of one step: no chain needs them. Where an event that comes late could still fall into the run, that
// holds only nearly, so that there the run has to be dense.
func (st *sequenceState) thin(k *sequenceKey) {
	settled, dense := st.Now()-st.Lateness(), (st.p.maxspan+st.p.within)/crowded
	old, limit := 0, k.newest-st.p.maxspan-st.p.within-st.Lateness()
	for old < len(k.steps)-1 && k.steps[old].at < limit {
		old++
	}
	st.drop(k, old)
	kept, last := 1, len(k.steps)-1
	for j := 1; j <= last; j++ {
		if here := &k.steps[j]; j < last {
			before, after := &k.steps[kept-1], &k.steps[j+1]
			if before.slot == here.slot && here.slot == after.slot && (after.at < settled || after.at-before.at <= dense) &&
				(before.at >= st.stalled || here.at < st.stalled) { // The first after a stall is waited for, those before are not.
				continue
			}
		}
		k.steps[kept], k.steps[j] = k.steps[j], k.steps[kept]
		kept++
	}
	k.cut(kept)
}

// drop forgets the first n. They go behind the end, where the room of their
// ids is used again.
func (st *sequenceState) drop(k *sequenceKey, n int) {
	if n == 0 {
		return
	}
	st.gone = append(st.gone[:0], k.steps[:n]...)
	copy(k.steps, k.steps[n:])
	copy(k.steps[len(k.steps)-n:], st.gone)
	clear(st.gone)
	k.cut(len(k.steps) - n)
}

// cut forgets all but the first n.
func (k *sequenceKey) cut(n int) {
	for i := n; i < len(k.steps); i++ {
		k.steps[i].entity = nil
	}
	k.steps = k.steps[:n]
}

// schedule sets the timer to the next decision or to the end of the key.
func (st *sequenceState) schedule(e *table.Entry[sequenceKey]) {
	due := max(st.ends(&e.Data), st.Now()+1)
	if !e.Timed() || due < e.Due {
		st.table.Wake(e, due)
		st.WakeAt(due)
	}
}

func (st *sequenceState) ends(k *sequenceKey) int64 {
	end := k.newest + st.p.maxspan + st.p.within + st.p.grace + st.Lateness()
	if st.p.within > 0 {
		if _, _, due, ok := st.waiting(k); ok {
			return min(end, due)
		}
	}
	return end
}

// Fire decides about an absent step, forgets a key, or ends an episode.
func (st *sequenceState) Fire(due int64) {
	if st.found.next() == due {
		st.found.fire(due)
		return
	}
	e := st.table.Next()
	k := &e.Data
	for st.p.within > 0 { // Of those that came late several may be over.
		c, last, at, ok := st.waiting(k)
		if !ok || at > due {
			break
		}
		st.raiseSequence(e, &c, int(c.path[0]), last, due, k.steps[last].at+st.p.within, nil, k.steps[last].entity)
	}
	if at := st.ends(k); at > due {
		st.table.Wake(e, at)
		st.WakeAt(at)
		return
	}
	st.table.Remove(e)
}

func (k *sequenceKey) Weight() int {
	n := table.Grown(len(k.steps), int(unsafe.Sizeof(stepEvent{})))
	if len(k.steps) > 0 {
		n += len(k.steps) * table.Allocated(len(k.steps[len(k.steps)-1].id))
	}
	return n
}

// Their alerts are those of occurrences.
func (k *sequenceKey) OpenAlerts(func(engine.OpenAlert), string, *engine.Rule) {}

func (st *sequenceState) OpenAlerts(end func(engine.OpenAlert)) { st.found.open(end) }

func (st *sequenceState) Persist(a *engine.Archive) {
	a.Time(&st.stalled)
	engine.PersistTable(a, st.table, func(e *table.Entry[sequenceKey]) {
		k := &e.Data
		snapshot.List(a.Codec, &k.steps, func(s *stepEvent) {
			a.Time(&s.at)
			snapshot.Int(a.Codec, &s.number)
			snapshot.Int(a.Codec, &s.slot)
			a.Agent(&s.entity)
			a.Bytes(&s.id)
			if s.slot < 0 || s.slot >= len(st.p.absent) {
				a.Fail("step %d does not exist, the rule has %d", s.slot, len(st.p.absent))
			}
		})
		snapshot.Int(a.Codec, &k.crowd)
		a.Time(&k.used)
		a.Time(&k.newest)
	})
	st.found.persist(a)
}
