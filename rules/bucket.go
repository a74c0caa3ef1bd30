package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// counted is what a rule counts in a tumbling window or session.
type counted struct {
	windowPlan
	x         *expression.Expression
	having    string
	low, high int64
	noun      string // Of what is counted: "matching event", "different process.name".
	field     string // Whose values are counted; "" counts events.
	debounce  int64
	keep      bool                     // no_data: keep.
	values    func(m *moment) []string // nil: events are counted.
}

// bucketState holds the tumbling windows or sessions of a rule that counts. A
// window is judged with every event that it gains, and reported once: the
// episode lasts until the window closes.
type bucketState struct {
	RuleSession
	p       counted
	table   *keyed[bucketKey]
	dropped uint64
}

// bucketKey is the state of one key.
type bucketKey struct {
	episode
	subjects
	trace
	samples bucketSamples
	marks   []int64 // A time in each window that was reported, ascending by report.
	firing  bool
	close   int64 // Latest end of a window that satisfied having in the episode.
	newest  int64
	atLeast int64 // The episode does not end before.
}

func newBucketState(s *Session, r *Rule, p counted) *bucketState {
	return &bucketState{RuleSession: RuleSession{s, r}, p: p, table: tableOf[bucketKey](s, r)}
}

func (st *bucketState) keys() (int, uint64) {
	return st.table.held(), st.table.evicted + st.dropped
}

func (st *bucketState) next() int64 {
	if e := st.table.next(); e != nil {
		return e.due
	}
	return math.MaxInt64
}

func (st *bucketState) observe(_ int, m *moment) {
	if m.late {
		st.countLate()
		return
	}
	var values []string
	if st.p.values != nil {
		if values = st.p.values(m); len(values) == 0 {
			return
		}
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
	if st.p.debounce > 0 && k.samples.near(m.at, st.p.debounce) {
		return
	}
	k.trace.add(m)
	k.samples.prune(&st.p.windowPlan, m.now-st.lateness()-st.p.debounce)
	if values == nil {
		st.dropped += k.samples.insert(bucketSample{at: m.at})
	}
	for _, v := range values {
		st.dropped += k.samples.insert(bucketSample{at: m.at, text: strings.Clone(v)})
	}
	st.judge(e, m)
	if !timed {
		st.schedule(e)
	}
}

// near reports whether an event is closer than a span.
func (l bucketSamples) near(at, span int64) bool {
	return slices.ContainsFunc(l, func(s bucketSample) bool { return s.at-at < span && at-s.at < span })
}

// judge looks at the window that the new event is in.
func (st *bucketState) judge(e *entry[bucketKey], m *moment) {
	k := &e.data
	b := k.samples.holding(&st.p.windowPlan, m.at)
	n := st.count(k.samples[b.from:b.to])
	reached := n >= st.p.low && n <= st.p.high
	if k.firing {
		if st.p.values == nil {
			k.count++
		} else {
			k.count = max(k.count, n)
		}
	}
	if !reached && !(k.firing && n > st.p.high) {
		if st.near() != nil && !k.firing {
			st.missed(e, m, n)
		}
		return
	}
	reported := k.reported(b)
	if !reported {
		k.mark(b.start, m.now-2*st.p.size-st.lateness())
	}
	switch {
	case k.firing:
		k.close = max(k.close, b.close)
	case !reported && reached:
		st.begin(e, m, b, n)
	}
}

// count counts events, or different values.
func (st *bucketState) count(samples []bucketSample) (n int64) {
	if st.p.values == nil {
		return int64(len(samples))
	}
	for i := range samples {
		if !slices.ContainsFunc(samples[:i], func(s bucketSample) bool { return s.text == samples[i].text }) {
			n++
		}
	}
	return n
}

// reported reports whether a window was reported, or a part of it before an
// event that came late joined it to another.
func (k *bucketKey) reported(b bucket) bool {
	return slices.ContainsFunc(k.marks, func(at int64) bool { return at >= b.start && at < b.close })
}

// mark notes that a window was reported, and forgets marks up to a time.
func (k *bucketKey) mark(at, oldest int64) {
	k.marks = slices.DeleteFunc(k.marks, func(at int64) bool { return at <= oldest })
	k.marks = append(k.marks, at)
}

// begin starts an episode.
func (st *bucketState) begin(e *entry[bucketKey], m *moment, b bucket, n int64) {
	k := &e.data
	k.episode = st.newEpisode(e.key, b.start, "")
	k.count, k.firing, k.close, k.atLeast = n, true, b.close, m.now+st.suppress()
	first, last := k.samples[b.from].at, k.samples[b.to-1].at
	agent := k.entity(st.rule())
	evidence := append(clauses(st.p.x, m), st.p.evidence()...)
	evidence = append(evidence, text("threshold", st.p.having), number("value", n))
	evidence = append(evidence, st.before(k.samples, b.from)...)
	events := int64(b.to - b.from)
	if st.p.field != "" {
		evidence = append(evidence, text("field", st.p.field), pair{"counted_values", st.sample(k.samples[b.from:b.to])})
	}
	st.raise(&k.episode, &alert{
		at: m.now, end: max(m.at, last), status: "firing", key: e.key, entity: agent, source: m.e, hosts: k.names(),
		reason: fmt.Sprintf("%s had %s within %s (threshold: %s in %s)", subject(agent, e.key), plural(n, st.p.noun),
			duration(last-first), st.p.having, st.p.phrase()),
		evidence: append(evidence, k.trace.evidence(first, last, events)...),
	})
}

// sample lists some of the values, the latest first.
func (st *bucketState) sample(samples []bucketSample) string {
	var list []string
	for _, s := range slices.Backward(samples) {
		if !slices.Contains(list, s.text) && len(list) < maxListed {
			list = append(list, s.text)
		}
	}
	return jsonList(list)
}

// schedule sets the timer to the end of the episode or of the key. A timer
// that runs out earlier is left: fire finds that it is not time yet.
func (st *bucketState) schedule(e *entry[bucketKey]) {
	due := max(st.ends(&e.data), st.now()+1)
	if !e.timed() || due < e.due {
		st.table.wake(e, due)
		st.wakeAt(due)
	}
}

// ends is when the windows of the episode have closed, or the key is of no use.
func (st *bucketState) ends(k *bucketKey) int64 {
	if k.firing {
		return max(k.close+st.keepFiring(), k.atLeast)
	}
	return k.newest + max(st.p.patience(), st.p.debounce) + st.lateness()
}

// fire ends an episode or forgets a key.
func (st *bucketState) fire(due int64) {
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
	if st.p.keep && st.unheard(k.agent, due, st.p.size) {
		st.table.wake(e, due+st.p.size) // Who is silent has not recovered.
		st.wakeAt(e.due)
		return
	}
	st.table.wake(e, 0)
	k.firing = false
	agent := k.entity(st.rule())
	st.raise(&k.episode, &alert{
		at: due, end: k.newest, status: "resolved", key: e.key, entity: agent, hosts: k.names(),
		reason: fmt.Sprintf("%s: %s is over; %s since %s", subject(agent, e.key), st.p.phrase(), plural(k.count, st.p.noun),
			timeText(k.start)),
		evidence: append(st.p.evidence(), text("threshold", st.p.having), number("value", k.count)),
	})
	k.hosts = nil
	st.schedule(e)
}
