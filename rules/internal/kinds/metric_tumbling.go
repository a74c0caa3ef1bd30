package kinds

import (
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/table"
)

// bucketMetric holds the tumbling windows or sessions of a metric rule. A
// statistic may go up and down, so a window is judged as a whole: when it is
// over and no event can join it any more, at its end and the lateness.
type bucketMetric struct {
	engine.RuleSession
	p       *metricPlan
	table   *table.Keyed[bucketMetricKey]
	found   occurrences
	dropped uint64
	window  []sample
	buf     []float64
}

// bucketMetricKey is the state of one key.
type bucketMetricKey struct {
	subjects
	trace
	samples bucketSamples
}

func newBucketMetric(s *engine.Session, r *engine.Rule, p *metricPlan) *bucketMetric {
	st := &bucketMetric{RuleSession: engine.NewRuleSession(s, r), p: p, table: engine.NewTable[bucketMetricKey](s, r)}
	st.found = newOccurrences(&st.RuleSession)
	return st
}

func (st *bucketMetric) KeyCount() (int, uint64) {
	return st.table.Held(), st.table.Evicted + st.found.table.Evicted + st.dropped
}

func (st *bucketMetric) Next() int64 { return earliest(st.table, st.found.table) }

func (st *bucketMetric) Observe(_ int, m *engine.Evaluation) {
	if m.Late {
		st.CountLate()
		return
	}
	v := m.Event.Get(st.p.field)
	if v == nil {
		return
	}
	key, ok := st.GroupKey(m)
	if !ok {
		return
	}
	st.Mark(m)
	e, _ := st.table.Obtain(key)
	k := &e.Data
	k.subjects.add(st.Rule(), m)
	k.trace.add(m)
	st.dropped += k.samples.insert(bucketSample{at: m.At, value: v.Float()})
	st.schedule(e)
}

// due is when the first window of a key is judged.
func (st *bucketMetric) due(k *bucketMetricKey) int64 {
	return st.p.windows.bucketAt(k.samples, 0).close + st.Lateness()
}

// schedule sets the timer. An event of this very moment may be as late as the
// window allows.
func (st *bucketMetric) schedule(e *table.Entry[bucketMetricKey]) {
	due := max(st.due(&e.Data), st.Now()+1)
	if !e.Timed() || due < e.Due {
		st.table.Wake(e, due)
		st.WakeAt(due)
	}
}

// Fire judges a window, forgets a key, or ends an episode.
func (st *bucketMetric) Fire(due int64) {
	if st.found.next() == due {
		st.found.fire(due)
		return
	}
	e := st.table.Next()
	k := &e.Data
	if at := st.due(k); at > due { // The session went on.
		st.table.Wake(e, at)
		st.WakeAt(at)
		return
	}
	b := st.p.windows.bucketAt(k.samples, 0)
	st.judge(e, b, due)
	k.samples = k.samples[b.to:]
	if len(k.samples) == 0 {
		st.table.Remove(e)
		return
	}
	st.table.Wake(e, 0)
	st.schedule(e)
}

func (st *bucketMetric) judge(e *table.Entry[bucketMetricKey], b bucket, due int64) {
	k := &e.Data
	st.window = st.window[:0]
	for _, s := range k.samples[b.from:b.to] {
		st.window = append(st.window, sample{s.at, s.value})
	}
	value := 0.0
	if len(st.window) >= st.p.least {
		value = st.p.measure(st.window, st.buf)
	}
	if len(st.window) < st.p.least || !st.p.having.hold(value) {
		if st.NearMisses() != nil {
			st.p.missed(&st.RuleSession, e.Key, st.window[len(st.window)-1].at, value, len(st.window))
		}
		return
	}
	agent := k.entity(st.Rule())
	events := int64(len(st.window))
	last := st.window[len(st.window)-1].at
	st.found.report(&finding{
		key: e.Key, at: due, start: b.start, end: last, entity: agent, hosts: k.names(), count: events,
		reason:   st.p.reason(engine.Subject(agent, e.Key), value, events),
		evidence: append(st.p.evidence(value, st.window, nil), k.trace.evidence(st.window[0].at, last, events)...),
	})
}

func (k *bucketMetricKey) Weight() int {
	return k.subjects.Weight() + k.trace.Weight() + k.samples.Weight()
}

func (k *bucketMetricKey) OpenAlerts(func(engine.OpenAlert), string, *engine.Rule) {}

func (st *bucketMetric) OpenAlerts(end func(engine.OpenAlert)) { st.found.open(end) }

func (st *bucketMetric) Persist(a *engine.Archive) {
	engine.PersistTable(a, st.table, func(e *table.Entry[bucketMetricKey]) {
		k := &e.Data
		k.subjects.persist(a)
		k.trace.persist(a)
		if k.samples.persist(a); len(k.samples) == 0 {
			a.Fail("the window of a key has no samples")
		}
	})
	st.found.persist(a)
}
