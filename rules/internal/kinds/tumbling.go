package kinds

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/table"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
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
	keep      bool                                // no_data: keep.
	values    func(m *engine.Evaluation) []string // nil: events are counted.
}

// bucketState holds the tumbling windows or sessions of a rule that counts. A
// window is judged with every event that it gains, and reported once: the
// episode lasts until the window closes.
type bucketState struct {
	engine.RuleSession
	episodes[bucketKey, *bucketKey]
	p       counted
	dropped uint64
}

// bucketKey is the state of one key.
type bucketKey struct {
	engine.Episode
	subjects
	trace
	samples bucketSamples
	marks   []int64 // A time in each window that was reported, ascending by report.
	close   int64   // Latest end of a window that satisfied having in the episode.
	newest  int64
	atLeast int64 // The episode does not end before.
}

func newBucketState(s *engine.Session, r *engine.Rule, p counted) *bucketState {
	st := &bucketState{RuleSession: engine.NewRuleSession(s, r), p: p}
	st.episodes = episodes[bucketKey, *bucketKey]{rs: &st.RuleSession, table: engine.NewTable[bucketKey](s, r), ends: st.ends, resolved: st.resolve}
	if p.keep {
		st.unheardFor = p.size
	}
	return st
}

func (k *bucketKey) episode() *engine.Episode { return &k.Episode }
func (k *bucketKey) about() *subjects         { return &k.subjects }

func (st *bucketState) KeyCount() (int, uint64) {
	return st.table.Held(), st.table.Evicted + st.dropped
}

func (st *bucketState) Observe(_ int, m *engine.Evaluation) {
	if m.Late {
		st.CountLate()
		return
	}
	var values []string
	if st.p.values != nil {
		if values = st.p.values(m); len(values) == 0 {
			return
		}
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
	if st.p.debounce > 0 && k.samples.near(m.At, st.p.debounce) {
		return
	}
	k.trace.add(m)
	k.samples.prune(&st.p.windowPlan, m.Now-st.Lateness()-st.p.debounce)
	if values == nil {
		st.dropped += k.samples.insert(bucketSample{at: m.At})
	}
	for _, v := range values {
		st.dropped += k.samples.insert(bucketSample{at: m.At, text: strings.Clone(v)})
	}
	st.judge(e, m)
	if !timed {
		st.schedule(e)
	}
}

// judge looks at the window that the new event is in.
func (st *bucketState) judge(e *table.Entry[bucketKey], m *engine.Evaluation) {
	k := &e.Data
	b := k.samples.holding(&st.p.windowPlan, m.At)
	n := st.count(k.samples[b.from:b.to])
	reached := n >= st.p.low && n <= st.p.high
	if k.Firing() {
		if st.p.values == nil {
			k.Count++
		} else {
			k.Count = max(k.Count, n)
		}
	}
	if !reached && !(k.Firing() && n > st.p.high) {
		if st.NearMisses() != nil && !k.Firing() {
			st.missed(e, m, n)
		}
		return
	}
	reported := k.reported(b)
	if !reported {
		k.mark(b.start, m.Now-2*st.p.size-st.Lateness())
	}
	switch {
	case k.Firing():
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
func (st *bucketState) begin(e *table.Entry[bucketKey], m *engine.Evaluation, b bucket, n int64) {
	k := &e.Data
	k.Episode = st.NewEpisode(e.Key, b.start, "")
	k.Count, k.close, k.atLeast = n, b.close, m.Now+st.Suppress()
	first, last := k.samples[b.from].at, k.samples[b.to-1].at
	agent := k.entity(st.Rule())
	evidence := append(engine.Clauses(st.p.x, m), st.p.evidence()...)
	evidence = append(evidence, engine.Text("threshold", st.p.having), engine.Number("value", n))
	evidence = append(evidence, st.before(k.samples, b.from)...)
	events := int64(b.to - b.from)
	if st.p.field != "" {
		evidence = append(evidence, engine.Text("field", st.p.field), engine.Evidence{Name: "counted_values", JSON: st.sample(k.samples[b.from:b.to])})
	}
	st.Raise(&k.Episode, &engine.Alert{
		At: m.Now, End: max(m.At, last), Status: "firing", Key: e.Key, Entity: agent, Source: m.Event, Hosts: k.names(),
		Reason: fmt.Sprintf("%s had %s within %s (threshold: %s in %s)", engine.Subject(agent, e.Key), wording.Plural(n, st.p.noun),
			wording.Duration(last-first), st.p.having, st.p.phrase()),
		Evidence: append(evidence, k.trace.evidence(first, last, events)...),
	})
}

// sample lists some of the values, the latest first.
func (st *bucketState) sample(samples []bucketSample) string {
	var list []string
	for _, s := range slices.Backward(samples) {
		if !slices.Contains(list, s.text) && len(list) < wording.MaxListed {
			list = append(list, s.text)
		}
	}
	return wording.JSONList(list)
}

// ends is when the windows of the episode have closed, or the key is of no use.
func (st *bucketState) ends(k *bucketKey) int64 {
	if k.Firing() {
		return max(k.close+st.KeepFiring(), k.atLeast)
	}
	return k.newest + max(st.p.patience(), st.p.debounce) + st.Lateness()
}

// resolve writes the document that ends the alert of a key.
func (st *bucketState) resolve(e *table.Entry[bucketKey], due int64) {
	k := &e.Data
	agent := k.entity(st.Rule())
	st.Raise(&k.Episode, &engine.Alert{
		At: due, End: k.newest, Status: "resolved", Key: e.Key, Entity: agent, Hosts: k.names(),
		Reason: fmt.Sprintf("%s: %s is over; %s since %s", engine.Subject(agent, e.Key), st.p.phrase(), wording.Plural(k.Count, st.p.noun),
			wording.TimeText(k.Start)),
		Evidence: append(st.p.evidence(), engine.Text("threshold", st.p.having), engine.Number("value", k.Count)),
	})
}

func (k *bucketKey) Weight() int {
	return k.Episode.Weight() + k.subjects.Weight() + k.trace.Weight() + k.samples.Weight() + table.Grown(len(k.marks), 8)
}

func (k *bucketKey) OpenAlerts(end func(engine.OpenAlert), key string, r *engine.Rule) {
	k.openOf(&k.Episode, end, key, r)
}

func (st *bucketState) OpenAlerts(end func(engine.OpenAlert)) {
	engine.OpenAlertsIn(st.table, st.Rule(), end)
}

func (st *bucketState) Persist(a *engine.Archive) {
	engine.PersistTable(a, st.table, func(e *table.Entry[bucketKey]) {
		k := &e.Data
		k.Episode.Persist(a)
		k.subjects.persist(a)
		k.trace.persist(a)
		k.samples.persist(a)
		snapshot.List(a.Codec, &k.marks, a.Time)
		k.Episode.PersistFiring(a)
		for _, t := range []*int64{&k.close, &k.newest, &k.atLeast} {
			a.Time(t)
		}
	})
}

func (st *bucketState) missed(e *table.Entry[bucketKey], m *engine.Evaluation, n int64) {
	offerCount(&st.RuleSession, e.Key, m.At, n, st.p.low, st.p.high, st.p.noun, st.p.having, st.p.phrase())
}

// before returns the largest count of the tumbling windows or sessions before
// one.
func (st *bucketState) before(l bucketSamples, from int) []engine.Evidence {
	most, end := int64(0), int64(0)
	l.each(&st.p.windowPlan, func(b bucket) bool {
		if b.from >= from {
			return false
		}
		if n := st.count(l[b.from:b.to]); n >= most && n < st.p.low {
			most, end = n, l[b.to-1].at
		}
		return true
	})
	if most == 0 {
		return nil
	}
	return []engine.Evidence{nearestBefore(strconv.AppendInt(nil, most, 10), end)}
}
