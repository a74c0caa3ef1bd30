package rules

import (
	"slices"

	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

func (st *matchState) persist(a *archive) {
	st.watch.persist(a)
	persist(a, st.table, func(e *entry[matchKey]) {
		k := &e.data
		k.episode.persist(a)
		k.dataKey.persist(a)
		a.Bool(&k.firing)
		a.agent(&k.entity)
		for _, t := range []*int64{&k.last, &k.atLeast, &k.since, &k.reading} {
			a.Time(t)
		}
		snapshot.Int(a.Codec, &k.readings)
	})
}

func (st *thresholdState) persist(a *archive) {
	persist(a, st.table, func(e *entry[thresholdKey]) {
		k := &e.data
		k.episode.persist(a)
		k.subjects.persist(a)
		k.trace.persist(a)
		persistTimes(a, &k.times)
		a.Bool(&k.firing)
		for _, t := range []*int64{&k.newest, &k.atLeast, &k.settled} {
			a.Time(t)
		}
		if k.firing && int64(k.times.len()) < st.p.low {
			a.Fail("an alert for %d events has %d", st.p.low, k.times.len())
		}
	})
}

// persistTimes writes or reads times in ascending order.
func persistTimes(a *archive, q *queue[int64]) {
	q.persist(a.Codec, a.Time)
	if a.Reading() && !slices.IsSorted(q.list()) {
		a.Fail("times are not in order")
	}
}

func (st *valueCountState) persist(a *archive) {
	persist(a, st.table, func(e *entry[valueCountKey]) {
		k := &e.data
		k.episode.persist(a)
		k.subjects.persist(a)
		k.trace.persist(a)
		k.seen.persist(a.Codec, st.seed)
		a.Bool(&k.firing)
		for _, t := range []*int64{&k.newest, &k.atLeast, &k.enough, &k.settled} {
			a.Time(t)
		}
	})
}

func (st *bucketState) persist(a *archive) {
	persist(a, st.table, func(e *entry[bucketKey]) {
		k := &e.data
		k.episode.persist(a)
		k.subjects.persist(a)
		k.trace.persist(a)
		k.samples.persist(a)
		snapshot.List(a.Codec, &k.marks, a.Time)
		a.Bool(&k.firing)
		for _, t := range []*int64{&k.close, &k.newest, &k.atLeast} {
			a.Time(t)
		}
	})
}

func (st *metricState) persist(a *archive) {
	st.watch.persist(a)
	persist(a, st.table, func(e *entry[metricKey]) {
		k := &e.data
		k.episode.persist(a)
		k.subjects.persist(a)
		k.trace.persist(a)
		k.dataKey.persist(a)
		k.samples.persist(a.Codec, func(s *sample) {
			a.Time(&s.at)
			a.Float(&s.value)
		})
		a.Bool(&k.firing)
		for _, t := range []*int64{&k.last, &k.newest, &k.atLeast, &k.settled} {
			a.Time(t)
		}
	})
}

func (st *bucketMetric) persist(a *archive) {
	persist(a, st.table, func(e *entry[bucketMetricKey]) {
		k := &e.data
		k.subjects.persist(a)
		k.trace.persist(a)
		if k.samples.persist(a); len(k.samples) == 0 {
			a.Fail("a window without samples")
		}
	})
	st.found.persist(a)
}

func (st *changeState) persist(a *archive) {
	persist(a, st.table, func(e *entry[changeKey]) {
		a.Shared(&e.data.value)
		a.Time(&e.data.since)
		a.Time(&e.data.newest)
		if st.p.returns > 0 {
			a.Shared(&e.data.before)
			snapshot.Int(a.Codec, &e.data.returns)
		}
	})
	st.found.persist(a)
}

func (st *newTermsState) persist(a *archive) {
	persist(a, st.table, func(e *entry[newTermsKey]) {
		k := &e.data
		a.Time(&k.since)
		a.Time(&k.last)
		snapshot.List(a.Codec, &k.terms, func(t *term) {
			a.Fixed(&t.hash)
			a.Time(&t.last)
		})
	})
	st.found.persist(a)
}

func (st *sequenceState) persist(a *archive) {
	a.Time(&st.stalled)
	persist(a, st.table, func(e *entry[sequenceKey]) {
		k := &e.data
		snapshot.List(a.Codec, &k.steps, func(s *stepEvent) {
			a.Time(&s.at)
			snapshot.Int(a.Codec, &s.number)
			snapshot.Int(a.Codec, &s.slot)
			a.agent(&s.entity)
			a.Bytes(&s.id)
			if s.slot < 0 || s.slot >= len(st.p.absent) {
				a.Fail("step %d of %d", s.slot, len(st.p.absent))
			}
		})
		snapshot.Int(a.Codec, &k.crowd)
		a.Time(&k.used)
		a.Time(&k.newest)
	})
	st.found.persist(a)
}

func (st *spikeState) persist(a *archive) {
	a.Time(&st.stalled)
	persist(a, st.table, func(e *entry[spikeKey]) {
		k := &e.data
		k.subjects.persist(a)
		snapshot.List(a.Codec, &k.counts, func(n *uint32) { snapshot.Int(a.Codec, n) })
		for _, w := range []*int64{&k.first, &k.newest, &k.judged, &k.raised} {
			snapshot.Int(a.Codec, w)
		}
		if int64(len(k.counts)) != st.slots || k.newest < 0 || k.first < 0 {
			a.Fail("expected %d counts, found %d", st.slots, len(k.counts))
		}
	})
	st.found.persist(a)
}

// What the fleet's rules know stands with the fleet's judge.
func (st *fleetState) persist(*archive) {}
