package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// Sequence is the kind of rule that alerts on events one after the other.
func Sequence() Kind {
	return Kind{
		Name: "sequence",
		New:  func() declaration { return newSequenceRule() },
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
	Header  `yaml:",inline"`
	Steps   []sequenceStep `yaml:"steps,required"`
	Maxspan time.Duration  `yaml:"maxspan,required"` // From the first to the last step that has to come.
	Ordered bool           `yaml:"ordered"`          // false: the steps may come in any order.
	Grace   time.Duration  `yaml:"grace"`            // How long a last, absent step is waited for in case it comes late.
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
	return &sequenceRule{Header: defaultHeader(), Ordered: true, Grace: time.Minute}
}

func (d *sequenceRule) header() *Header { return &d.Header }

func (d *sequenceRule) check(c *checker) {
	c.positive("maxspan", d.Maxspan, false)
	c.positive("grace", d.Grace, true)
	last := len(d.Steps) - 1
	if last < 1 || last >= maxSteps {
		c.problem("steps", fmt.Sprintf("the sequence has %d steps, expected 2 to %d", len(d.Steps), maxSteps), "")
		return
	}
	for i, s := range d.Steps {
		switch {
		case s.Absent && !d.Ordered:
			c.problem("steps", "steps in any order cannot be absent", "")
		case s.Absent && i == 0:
			c.problem("steps", "the first step is absent: a sequence begins with something that happens", "swap the steps, or use type: match")
		case s.Absent && d.Steps[i-1].Absent:
			c.problem("steps", fmt.Sprintf("steps %q and %q are both absent", d.Steps[i-1].Name, s.Name), "join their conditions with or")
		case s.Absent && i == last:
			c.positive("steps", s.Within, false)
		case s.Within != 0:
			c.problem("steps", fmt.Sprintf("step %q has within, which only an absent last step has", s.Name), "maxspan bounds the others")
		}
	}
}

func (d *sequenceRule) compile(c *compiler) plan {
	p := &sequencePlan{maxspan: int64(d.Maxspan), grace: int64(d.Grace), anyOrder: !d.Ordered}
	for _, s := range d.Steps {
		x := c.condition(s.Condition)
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

func (p *sequencePlan) horizon() time.Duration { return time.Duration(p.maxspan + p.within + p.grace) }

func (p *sequencePlan) hooks() []hook {
	list := make([]hook, len(p.conditions))
	for i, x := range p.conditions {
		list[i] = hookOf(i, "step "+p.names[i], x)
		list[i].unexcepted = p.absent[i]
	}
	return list
}

// traits: a copy is no second step where no event can be two.
func (p *sequencePlan) traits() traits {
	for i, x := range p.conditions {
		for _, y := range p.conditions[:i] {
			if x.Excludes(y) == "" {
				return traits{endless: true}
			}
		}
	}
	return traits{endless: true, copies: true}
}

func (p *sequencePlan) newState(s *Session, r *Rule) state {
	st := &sequenceState{RuleSession: RuleSession{s, r}, p: p, table: tableOf[sequenceKey](s, r)}
	st.found = newOccurrences(&st.RuleSession)
	return st
}

// sequenceState holds the events of a sequence rule's keys.
type sequenceState struct {
	RuleSession
	p       *sequencePlan
	table   *keyed[sequenceKey]
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
	entity *entity
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

func (st *sequenceState) keys() (int, uint64) {
	return st.table.held(), st.table.evicted + st.found.table.evicted + st.dropped
}
func (st *sequenceState) next() int64 { return earliest(st.table, st.found.table) }

// step forgets what waits for an absent step through a stall of the feed.
func (st *sequenceState) step(gap int64) int64 {
	if st.p.within == 0 {
		return math.MaxInt64
	}
	if gap > st.p.within/2 {
		st.stalled = st.now() + gap
	}
	return st.p.within / 2
}

func (st *sequenceState) observe(slot int, m *moment) {
	if m.late {
		st.countLate()
		return
	}
	key, ok := st.groupKey(m)
	if !ok {
		return
	}
	// Also an event that begins nothing is kept: an earlier one may come late.
	e, _ := st.table.obtain(key)
	k := &e.data
	if m.at <= k.used {
		return
	}
	st.mark(m)
	k.newest = max(k.newest, m.at)
	inOrder := len(k.steps) == 0 || m.at > k.steps[len(k.steps)-1].at
	st.insert(k, stepEvent{at: m.at, number: m.number, slot: slot, entity: m.entity}, m.e.Str(ecs.EventID))
	last := len(st.p.absent) - 1
	if !inOrder || slot == last || st.p.anyOrder {
		st.complete(e, m)
	}
	if st.near() != nil {
		st.missed(e, m)
	}
	// What comes in order completes nothing that waits for an absent step, and
	// hastens no timer, unless it is the step before.
	if !e.timed() || (!inOrder || slot == last-1) && e.due > m.at+st.p.within+st.p.grace {
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
	settled, dense := st.now()-st.lateness(), (st.p.maxspan+st.p.within)/crowded
	old, limit := 0, k.newest-st.p.maxspan-st.p.within-st.lateness()
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

// chain is a beginning of the sequence, of all that reach a step the one that
// began last.
type chain struct {
	valid bool
	path  [maxSteps]int32 // Places of the events.
}

// walk follows the events in order and calls found for every event that is the
// last of the steps that have to come, until it returns true.
func (st *sequenceState) walk(k *sequenceKey, found func(last int, c *chain) bool) {
	var chains [maxSteps]chain
	var c chain
	final := len(st.p.absent) - 1
	if st.p.absent[final] {
		final--
	}
	for i := range k.steps {
		slot := k.steps[i].slot
		if st.p.absent[slot] {
			chains[slot-1].valid = false // It breaks whatever waits at the step before.
			continue
		}
		c = chain{valid: true}
		if slot > 0 {
			from := slot - 1
			if st.p.absent[from] {
				from--
			}
			c = chains[from]
			if !c.valid || k.steps[i].at-k.steps[c.path[0]].at > st.p.maxspan {
				continue
			}
		}
		c.path[slot] = int32(i)
		if slot == final {
			if found(i, &c) {
				return
			}
		} else if old := &chains[slot]; !old.valid || k.steps[old.path[0]].at <= k.steps[c.path[0]].at {
			*old = c
		}
	}
}

// complete raises sequences that are complete with the new event.
func (st *sequenceState) complete(e *entry[sequenceKey], m *moment) {
	if st.p.within > 0 {
		return // A timer looks whether the last step has stayed away.
	}
	if st.p.anyOrder {
		st.gather(e, m)
		return
	}
	st.walk(&e.data, func(last int, c *chain) bool {
		st.raiseSequence(e, c, int(c.path[0]), last, m.now, e.data.steps[last].at, m.e, m.entity)
		return true
	})
}

// gather raises a sequence whose steps have come in any order. One event may be
// several steps.
func (st *sequenceState) gather(e *entry[sequenceKey], m *moment) {
	k := &e.data
	for last := range k.steps {
		var c chain
		found, first := 0, last
		for i := last; i >= 0 && k.steps[last].at-k.steps[i].at <= st.p.maxspan && found < len(st.p.names); i-- {
			if slot := k.steps[i].slot; c.path[slot] == 0 {
				c.path[slot] = int32(i) + 1
				found, first = found+1, i
			}
		}
		if found < len(st.p.names) {
			continue
		}
		for slot := range st.p.names {
			c.path[slot]--
		}
		st.raiseSequence(e, &c, first, last, m.now, k.steps[last].at, m.e, m.entity)
		return
	}
}

// raise reports a sequence and uses up its events.
func (st *sequenceState) raiseSequence(e *entry[sequenceKey], c *chain, start, last int, now, used int64, source *event.Event, agent *entity) {
	k := &e.data
	var b []byte
	var said, hosts []string
	slot, end := 0, k.steps[last].slot
	if st.p.anyOrder {
		end = len(st.p.names) - 1
	}
	for ; slot <= end; slot++ {
		if st.p.absent[slot] {
			said = append(said, "no "+st.p.names[slot])
			continue
		}
		s := &k.steps[c.path[slot]]
		said = append(said, st.p.names[slot])
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"step":`...)
		b = event.AppendString(b, st.p.names[slot])
		b = append(b, `,"time":"`...)
		b = append(event.AppendTime(b, s.at), '"')
		if len(s.id) > 0 {
			b = append(b, `,"event_id":`...)
			b = event.AppendString(b, event.View(s.id))
		}
		b = append(b, '}')
		if s.entity != nil && !slices.Contains(hosts, s.entity.name()) {
			hosts = append(hosts, s.entity.name())
		}
	}
	if st.p.within > 0 {
		said = append(said, fmt.Sprintf("no %s for %s", st.p.names[slot], duration(st.p.within)))
	}
	first := k.steps[start].at
	f := finding{
		key: e.key, at: now, start: first, end: used, source: source, hosts: hosts, count: int64(len(hosts)),
		evidence: []pair{{"steps", "[" + string(b) + "]"}, text("maxspan", duration(st.p.maxspan))},
	}
	if st.aboutAgents() {
		f.entity, f.hosts, f.count = agent, nil, 1
	}
	between := ", then "
	if st.p.anyOrder {
		between = " and "
	}
	f.reason = fmt.Sprintf("%s: %s", subject(f.entity, e.key), strings.Join(said, between))
	if span := k.steps[last].at - first; span > 0 {
		f.reason += ", within " + duration(span)
	}
	st.found.report(&f)
	k.used = used
	n := 0
	for n < len(k.steps) && k.steps[n].at <= used {
		n++
	}
	st.drop(k, n)
}

// waiting returns the first complete chain whose absent last step has stayed
// away so far, with the time at which it has for long enough.
func (st *sequenceState) waiting(k *sequenceKey) (c chain, last int, due int64, ok bool) {
	breaker := len(st.p.absent) - 1
	st.walk(k, func(i int, found *chain) bool {
		end := k.steps[i].at + st.p.within
		if k.steps[i].at < st.stalled {
			return false
		}
		for j := i + 1; j < len(k.steps) && k.steps[j].at <= end; j++ {
			if k.steps[j].slot == breaker && k.steps[j].number != k.steps[i].number {
				return false
			}
		}
		c, last, due, ok = *found, i, end+st.p.grace, true
		return true
	})
	return c, last, due, ok
}

// schedule sets the timer to the next decision or to the end of the key.
func (st *sequenceState) schedule(e *entry[sequenceKey]) {
	due := max(st.ends(&e.data), st.now()+1)
	if !e.timed() || due < e.due {
		st.table.wake(e, due)
		st.wakeAt(due)
	}
}

func (st *sequenceState) ends(k *sequenceKey) int64 {
	end := k.newest + st.p.maxspan + st.p.within + st.p.grace + st.lateness()
	if st.p.within > 0 {
		if _, _, due, ok := st.waiting(k); ok {
			return min(end, due)
		}
	}
	return end
}

// fire decides about an absent step, forgets a key, or ends an episode.
func (st *sequenceState) fire(due int64) {
	if st.found.next() == due {
		st.found.fire(due)
		return
	}
	e := st.table.next()
	k := &e.data
	for st.p.within > 0 { // Of those that came late several may be over.
		c, last, at, ok := st.waiting(k)
		if !ok || at > due {
			break
		}
		st.raiseSequence(e, &c, int(c.path[0]), last, due, k.steps[last].at+st.p.within, nil, k.steps[last].entity)
	}
	if at := st.ends(k); at > due {
		st.table.wake(e, at)
		st.wakeAt(at)
		return
	}
	st.table.remove(e)
}
