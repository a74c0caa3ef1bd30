package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

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
	c.checkKeep(&d.Header, d.NoData)
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

func (p *valueCountPlan) newState(s *Session, r *Rule) state {
	if !p.windows.sliding {
		var one [1]string
		return newBucketState(s, r, counted{
			windowPlan: p.windows, x: p.x, having: p.having, low: p.low, high: math.MaxInt64,
			keep: p.keep, noun: "different " + p.name, field: p.name, values: func(m *moment) []string { return p.values(m, &one) },
		})
	}
	return &valueCountState{s: s, r: r, p: p, table: tableOf[valueCountKey](s, r)}
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
	trace
	seen    []sighting
	firing  bool
	newest  int64
	atLeast int64 // The episode does not end before.
	enough  int64 // Latest time from which on as many values were seen as having asks for.
	settled int64 // When the last episode ended: windows up to here are not judged again.
}

// sighting is a value at a time. Of three sightings of a value within a window
// the one in the middle is left out: every window that holds it holds one of
// the others, and no window that is judged ends with it first.
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
		st.s.counters[st.r.number].Late++
		return
	}
	values := st.p.values(m, &st.one)
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
	timed := k.firing // The end of an episode only moves away: its timer finds out, and where no_data has put it off it stays.
	k.subjects.add(st.r, m)
	k.trace.add(m)
	for _, value := range values {
		pos, fresh := k.see(m.at, value, st.p.window)
		if fresh && !k.firing {
			if end, count, ok := st.crossing(k, m.at, pos); ok {
				st.begin(e, m, end, count)
			}
		}
		if fresh && k.firing {
			for j := pos; j < len(k.seen) && k.seen[j].at-m.at < st.p.window; j++ {
				k.enough = max(k.enough, k.latest(st.p.low, k.seen[j].at, st.p.window))
			}
		}
	}
	if k.firing {
		k.enough = max(k.enough, k.latest(st.p.low, k.newest, st.p.window))
	} else if st.s.near != nil {
		st.missed(e, m)
	}
	k.prune(k.newest-st.p.window-st.s.lateness, st.p.room(k.firing, st.s.lateness))
	if k.firing {
		k.count = max(k.count, k.within(k.newest, st.p.window))
	}
	if !timed {
		st.schedule(e)
	}
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
		if k.seen[before].at == at || after >= 0 && k.seen[after].at-k.seen[before].at <= window && k.seen[before].at > k.settled {
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
	for j := i - 1; j >= 0 && at-k.seen[j].at <= window && k.seen[j].at > k.settled; j-- {
		if k.seen[j].value == k.seen[i].value {
			k.seen[j].next = at
			return true
		}
	}
	return false
}

// latest returns the time from which on a number of different values were seen
// in (end - window, end]; 0 if there were not as many.
func (k *valueCountKey) latest(number, end, window int64) int64 {
	for i := len(k.seen) - 1; i >= 0 && k.seen[i].at > end-window; i-- {
		if k.seen[i].at <= end && k.seen[i].next > end {
			if number--; number == 0 {
				return k.seen[i].at
			}
		}
	}
	return 0
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
func (st *valueCountState) crossing(k *valueCountKey, at int64, pos int) (end, count int64, ok bool) {
	if int64(len(k.seen)) < st.p.low {
		return 0, 0, false
	}
	for j := pos; j < len(k.seen) && k.seen[j].at-at < st.p.window; j++ {
		end := k.seen[j].at
		if end <= k.settled {
			continue
		}
		if n := k.within(end, st.p.window); n >= st.p.low {
			return end, n, true
		}
	}
	return 0, 0, false
}

// begin starts an episode, at the event time at which the number was reached:
// of the values before not every sighting is remembered.
func (st *valueCountState) begin(e *entry[valueCountKey], m *moment, end, count int64) {
	k := &e.data
	first := end - st.p.window + 1
	evidence := append(append(clauses(st.p.x, m), text("field", st.p.name)), st.p.windows.evidence()...)
	evidence = append(evidence, text("threshold", st.p.having), number("value", count), pair{"counted_values", k.sample(first, end)})
	k.episode = begin(st.r, e.key, end, "")
	k.count, k.firing, k.atLeast, k.enough = count, true, m.now+st.r.suppress, 0
	agent := k.entity(st.r)
	st.s.raise(st.r, &k.episode, &alert{
		at: m.now, end: max(m.at, k.newest), status: "firing", key: e.key, entity: agent, source: m.e, hosts: k.names(),
		reason: fmt.Sprintf("%s had %s of %s within %s (threshold: %s)", subject(agent, e.key), plural(count, "value"), st.p.name,
			duration(st.p.window), st.p.having),
		evidence: append(evidence, k.trace.evidence(first, end, -count)...),
	})
}

// sample lists some of the values of a span, the latest first.
func (k *valueCountKey) sample(from, to int64) string {
	var list []string
	for _, s := range slices.Backward(k.seen) {
		if s.at >= from && s.at <= to && s.next > to && len(list) < maxListed {
			list = append(list, s.value)
		}
	}
	return jsonList(list)
}

// schedule sets the timer to the end of the episode or of the key. A timer
// that runs out earlier is left: fire finds that it is not time yet.
func (st *valueCountState) schedule(e *entry[valueCountKey]) {
	due := max(st.ends(&e.data), st.s.now+1)
	if e.pos < 0 || due < e.due {
		st.table.wake(e, due)
		st.s.wakeAt(due)
	}
}

// ends is when the window has too few values, or the key is empty.
func (st *valueCountState) ends(k *valueCountKey) int64 {
	if !k.firing {
		return max(k.newest+st.p.window, k.settled) + st.s.lateness
	}
	return max(k.enough+st.p.window+st.r.keepFiring, k.atLeast)
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
	if st.p.keep && st.s.unheard(k.agent, due, st.p.window) {
		st.table.wake(e, due+st.p.window) // Who is silent has not recovered.
		st.s.wakeAt(e.due)
		return
	}
	st.table.wake(e, 0)
	k.firing, k.settled = false, due-1 // A window that ends when the episode does may begin the next.
	agent := k.entity(st.r)
	st.s.raise(st.r, &k.episode, &alert{
		at: due, end: k.newest, status: "resolved", key: e.key, entity: agent, hosts: k.names(),
		reason:   fmt.Sprintf("%s has fewer values of %s again; it had up to %s", subject(agent, e.key), st.p.name, grouped(k.count)),
		evidence: []pair{text("field", st.p.name), text("threshold", st.p.having), number("value", k.count)},
	})
	k.hosts = nil
	st.schedule(e)
}
