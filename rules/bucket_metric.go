package rules

// bucketMetric holds the tumbling windows or sessions of a metric rule. A
// statistic may go up and down, so a window is judged as a whole: when it is
// over and no event can join it any more, at its end and the lateness.
type bucketMetric struct {
	RuleSession
	p       *metricPlan
	table   *keyed[bucketMetricKey]
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

func newBucketMetric(s *Session, r *Rule, p *metricPlan) *bucketMetric {
	st := &bucketMetric{RuleSession: RuleSession{s, r}, p: p, table: tableOf[bucketMetricKey](s, r)}
	st.found = newOccurrences(&st.RuleSession)
	return st
}

func (st *bucketMetric) keys() (int, uint64) {
	return st.table.held(), st.table.evicted + st.found.table.evicted + st.dropped
}
func (st *bucketMetric) next() int64 { return earliest(st.table, st.found.table) }

func (st *bucketMetric) observe(_ int, m *moment) {
	if m.late {
		st.countLate()
		return
	}
	v := m.e.Get(st.p.field)
	if v == nil {
		return
	}
	key, ok := st.groupKey(m)
	if !ok {
		return
	}
	st.mark(m)
	e, _ := st.table.obtain(key)
	k := &e.data
	k.subjects.add(st.rule(), m)
	k.trace.add(m)
	st.dropped += k.samples.insert(bucketSample{at: m.at, value: v.Float()})
	st.schedule(e)
}

// due is when the first window of a key is judged.
func (st *bucketMetric) due(k *bucketMetricKey) int64 {
	return st.p.windows.bucketAt(k.samples, 0).close + st.lateness()
}

// schedule sets the timer. An event of this very moment may be as late as the
// window allows.
func (st *bucketMetric) schedule(e *entry[bucketMetricKey]) {
	due := max(st.due(&e.data), st.now()+1)
	if !e.timed() || due < e.due {
		st.table.wake(e, due)
		st.wakeAt(due)
	}
}

// fire judges a window, forgets a key, or ends an episode.
func (st *bucketMetric) fire(due int64) {
	if st.found.next() == due {
		st.found.fire(due)
		return
	}
	e := st.table.next()
	k := &e.data
	if at := st.due(k); at > due { // The session went on.
		st.table.wake(e, at)
		st.wakeAt(at)
		return
	}
	b := st.p.windows.bucketAt(k.samples, 0)
	st.judge(e, b, due)
	k.samples = k.samples[b.to:]
	if len(k.samples) == 0 {
		st.table.remove(e)
		return
	}
	st.table.wake(e, 0)
	st.schedule(e)
}

func (st *bucketMetric) judge(e *entry[bucketMetricKey], b bucket, due int64) {
	k := &e.data
	st.window = st.window[:0]
	for _, s := range k.samples[b.from:b.to] {
		st.window = append(st.window, sample{s.at, s.value})
	}
	value := 0.0
	if len(st.window) >= st.p.least {
		value = st.p.measure(st.window, st.buf)
	}
	if len(st.window) < st.p.least || !st.p.having.hold(value) {
		if st.near() != nil {
			st.p.missed(&st.RuleSession, e.key, st.window[len(st.window)-1].at, value, len(st.window))
		}
		return
	}
	agent := k.entity(st.rule())
	events := int64(len(st.window))
	last := st.window[len(st.window)-1].at
	st.found.report(&finding{
		key: e.key, at: due, start: b.start, end: last, entity: agent, hosts: k.names(), count: events,
		reason:   st.p.reason(subject(agent, e.key), value, events),
		evidence: append(st.p.evidence(value, st.window, nil), k.trace.evidence(st.window[0].at, last, events)...),
	})
}
