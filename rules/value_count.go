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

// valueCountRule alerts when the matching events of a key have many different
// values of a field within a sliding window, as the correlation of that name in
// Sigma.
type valueCountRule struct {
	Header    `yaml:",inline"`
	Condition strict.Text   `yaml:"condition,required"`
	Field     string        `yaml:"field,required"` // "entity" counts agents.
	Window    time.Duration `yaml:"window,required"`
	Having    having        `yaml:"having,required"`
}

// maxValues bounds what a value_count may ask for: that many values are looked
// through for every event.
const maxValues = 1000

func newValueCountRule() *valueCountRule { return &valueCountRule{Header: defaultHeader()} }

func (d *valueCountRule) header() *Header { return &d.Header }

func (d *valueCountRule) check(c *checker) {
	c.positive("window", d.Window, false)
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
	p := &valueCountPlan{x: x, window: int64(d.Window), having: d.Having.String(), name: d.Field, entity: d.Field == "entity"}
	if !p.entity {
		p.field = c.field("field", d.Field)
	}
	if x == nil {
		return nil
	}
	p.low, _ = d.Having.limits()
	return p
}

// valueCountPlan is a compiled value_count rule.
type valueCountPlan struct {
	x      *expression.Expression
	field  ecs.ID
	name   string
	entity bool
	window int64
	low    int64
	having string
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

func (p *valueCountPlan) room() int { return int(8*p.low + 64) }

func (p *valueCountPlan) newState(s *Session, r *Rule) state {
	return &valueCountState{s: s, r: r, p: p, table: newKeyed[valueCountKey](s.maxKeys)}
}

// valueCountState holds the windows of a value_count rule.
type valueCountState struct {
	s     *Session
	r     *Rule
	p     *valueCountPlan
	table *keyed[valueCountKey]
	one   [1]string
}

// valueCountKey is the state of one key.
type valueCountKey struct {
	episode
	subjects
	seen    []sighting
	firing  bool
	newest  int64
	atLeast int64 // The episode does not end before.
}

// sighting is a value at a time. Of three sightings of a value within a window
// the one in the middle is left out: every window that holds it holds one of
// the others.
type sighting struct {
	at, next int64 // Next is when the value was seen again; math.MaxInt64: not yet.
	value    string
}

func (st *valueCountState) keys() (int, uint64) { return len(st.table.entries), st.table.evicted }
func (st *valueCountState) step(int64) int64    { return math.MaxInt64 }

func (st *valueCountState) next() int64 {
	if e := st.table.next(); e != nil {
		return e.due
	}
	return math.MaxInt64
}

// values are what the event has in the field.
func (st *valueCountState) values(m *moment) []string {
	if st.p.entity {
		if m.entity == nil {
			return nil
		}
		st.one[0] = m.entity.key
		return st.one[:]
	}
	v := m.e.Get(st.p.field)
	switch {
	case v == nil:
		return nil
	case v.List() != nil:
		return v.List()
	}
	st.one[0] = v.Str()
	return st.one[:]
}

func (st *valueCountState) observe(_ int, m *moment) {
	if m.late {
		st.s.counters[st.r.number].Late++
		return
	}
	values := st.values(m)
	if len(values) == 0 {
		return
	}
	key, ok := st.s.groupKey(st.r, m)
	if !ok {
		return
	}
	st.s.mark(m, st.r)
	e, _ := st.table.obtain(key)
	k := &e.data
	k.newest = max(k.newest, m.at)
	k.add(st.r, m)
	for _, value := range values {
		pos, fresh := k.see(m.at, value, st.p.window)
		if fresh && !k.firing {
			if first, count, ok := st.crossing(k, m.at, pos); ok {
				st.begin(e, m, first, count)
			}
		}
	}
	k.prune(k.newest-st.p.window-st.s.lateness, st.p.room())
	if k.firing {
		k.count = max(k.count, k.within(k.newest, st.p.window))
	}
	st.schedule(e)
}

// see adds a sighting in order of time and returns its place; false when it
// makes no difference to any window.
func (k *valueCountKey) see(at int64, value string, window int64) (pos int, fresh bool) {
	pos = len(k.seen)
	for pos > 0 && k.seen[pos-1].at > at {
		pos--
	}
	before, after := -1, -1
	for i := pos - 1; i >= 0 && before < 0; i-- {
		if k.seen[i].value == value {
			before = i
		}
	}
	for i := pos; i < len(k.seen) && after < 0; i++ {
		if k.seen[i].value == value {
			after = i
		}
	}
	sight := sighting{at: at, next: math.MaxInt64}
	if after >= 0 {
		sight.next, sight.value = k.seen[after].at, k.seen[after].value
	}
	if before >= 0 {
		if k.seen[before].at == at || after >= 0 && k.seen[after].at-k.seen[before].at <= window {
			return 0, false
		}
		k.seen[before].next, sight.value = at, k.seen[before].value
	}
	if sight.value == "" {
		sight.value = strings.Clone(value)
	}
	if last := k.between(before, window, at); last {
		// The usual case: a value that is seen all the time only moves.
		k.seen = slices.Delete(k.seen, before, before+1)
		pos--
	}
	k.seen = slices.Insert(k.seen, pos, sight)
	return pos, true
}

// between reports whether a sighting stands within one window between the one
// of the same value before it and a new one, and takes it out of the chain.
func (k *valueCountKey) between(i int, window, at int64) bool {
	if i < 0 {
		return false
	}
	for j := i - 1; j >= 0 && at-k.seen[j].at <= window; j-- {
		if k.seen[j].value == k.seen[i].value {
			k.seen[j].next = at
			return true
		}
	}
	return false
}

// prune forgets sightings up to a time, and the oldest beyond a number.
func (k *valueCountKey) prune(limit int64, room int) {
	n := max(len(k.seen)-room, 0)
	for n < len(k.seen) && k.seen[n].at <= limit {
		n++
	}
	if n > 0 {
		k.seen = slices.Delete(k.seen, 0, n)
	}
}

// within counts the values seen in (end - window, end].
func (k *valueCountKey) within(end, window int64) int64 {
	var n int64
	for i := len(k.seen) - 1; i >= 0 && k.seen[i].at > end-window; i-- {
		if k.seen[i].at <= end && k.seen[i].next > end {
			n++
		}
	}
	return n
}

// crossing looks at the windows that the new sighting is in, each ending at a
// sighting, and returns the first that has enough values.
func (st *valueCountState) crossing(k *valueCountKey, at int64, pos int) (first, count int64, ok bool) {
	if int64(len(k.seen)) < st.p.low {
		return 0, 0, false
	}
	for j := pos; j < len(k.seen) && k.seen[j].at-at < st.p.window; j++ {
		end := k.seen[j].at
		if n := k.within(end, st.p.window); n >= st.p.low {
			i := slices.IndexFunc(k.seen, func(s sighting) bool { return s.at > end-st.p.window })
			return k.seen[i].at, n, true
		}
	}
	return 0, 0, false
}

// begin starts an episode.
func (st *valueCountState) begin(e *entry[valueCountKey], m *moment, first, count int64) {
	k := &e.data
	k.episode = begin(st.r, e.key, first, "")
	k.count, k.firing, k.atLeast = count, true, m.now+st.r.suppress
	agent := k.entity(st.r)
	st.s.raise(st.r, &k.episode, &alert{
		at: m.now, end: max(m.at, k.newest), status: "firing", key: e.key, entity: agent, source: m.e, hosts: k.names(),
		reason: fmt.Sprintf("%s had %s of %s within %s (threshold: %s)", subject(agent, e.key), plural(count, "value"), st.p.name,
			duration(st.p.window), st.p.having),
		evidence: []pair{
			text("condition", st.p.x.String()), text("field", st.p.name), text("window", duration(st.p.window)),
			text("threshold", st.p.having), number("value", count), {"values", k.sample()},
		},
	})
}

// sample lists some of the values, the latest first.
func (k *valueCountKey) sample() string {
	var list []string
	for _, s := range slices.Backward(k.seen) {
		if s.next == math.MaxInt64 && len(list) < 20 {
			list = append(list, string(event.AppendString(nil, s.value)))
		}
	}
	return "[" + strings.Join(list, ",") + "]"
}

// schedule sets the timer to the end of the episode or of the key. A timer
// that runs out earlier is left: fire finds that it is not time yet.
func (st *valueCountState) schedule(e *entry[valueCountKey]) {
	if e.pos >= 0 && e.due <= e.data.newest+st.p.window {
		return
	}
	due := max(st.ends(&e.data), st.s.now+1)
	if e.pos < 0 || due < e.due {
		st.table.wake(e, due)
		st.s.wakeAt(due)
	}
}

// ends is when the window has too few values, or the key is empty.
func (st *valueCountState) ends(k *valueCountKey) int64 {
	if !k.firing {
		return k.newest + st.p.window + st.s.lateness
	}
	last, n := k.newest, int64(0)
	for i := len(k.seen) - 1; i >= 0; i-- {
		if k.seen[i].next == math.MaxInt64 {
			if n++; n == st.p.low {
				last = k.seen[i].at
				break
			}
		}
	}
	return max(last+st.p.window+st.r.keepFiring, k.atLeast)
}

// fire ends an episode or forgets a key.
func (st *valueCountState) fire(due int64) {
	e := st.table.next()
	k := &e.data
	if at := st.ends(k); at > due {
		st.table.wake(e, at)
		st.s.wakeAt(at)
		return
	}
	if !k.firing {
		st.table.remove(e)
		return
	}
	st.table.wake(e, 0)
	k.firing = false
	agent := k.entity(st.r)
	st.s.raise(st.r, &k.episode, &alert{
		at: due, end: k.newest, status: "resolved", key: e.key, entity: agent, hosts: k.names(),
		reason:   fmt.Sprintf("%s has fewer values of %s again; it had up to %s", subject(agent, e.key), st.p.name, grouped(k.count)),
		evidence: []pair{text("field", st.p.name), text("threshold", st.p.having), number("value", k.count)},
	})
	k.hosts = nil
	st.schedule(e)
}
