package rules

import (
	"strconv"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// nearestBefore is the evidence of what came nearest to an alert before the
// window that raised it, out of what the key's state still remembers: it costs
// nothing until an alert is raised. Value is in the unit of the alert's value.
func nearestBefore(value []byte, at int64) pair {
	b := append([]byte(`{"value":`), value...)
	b = append(b, `,"time":"`...)
	b = append(event.AppendTime(b, at), `"}`...)
	return pair{"nearest_miss", string(b)}
}

// before returns the most events of a window that ended before a time, which
// ends at the latest of them; nothing where none is remembered.
func (k *thresholdKey) before(first, window int64) []pair {
	times := k.times.list()
	most, end, start := 0, int64(0), 0
	for j := 0; j < len(times) && times[j] < first; j++ {
		for times[j]-times[start] >= window {
			start++
		}
		if n := j - start + 1; n >= most {
			most, end = n, times[j]
		}
	}
	if most == 0 {
		return nil
	}
	return []pair{nearestBefore(strconv.AppendInt(nil, int64(most), 10), end)}
}

// before returns the largest count of the tumbling windows or sessions before
// one.
func (st *bucketState) before(l bucketSamples, from int) []pair {
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
	return []pair{nearestBefore(strconv.AppendInt(nil, most, 10), end)}
}

// before returns the count of the window of the past that was the largest
// multiple of what is usual now, or the smallest.
func (st *spikeState) before(k *spikeKey, w int64) []pair {
	best, at := int64(-1), int64(0)
	for i := max(w-st.p.history, k.first+1); i < w; i++ {
		if n := k.count(i); best < 0 || !st.p.down && n >= best || st.p.down && n <= best {
			best, at = n, i
		}
	}
	if best < 0 {
		return nil
	}
	return []pair{nearestBefore(strconv.AppendInt(nil, best, 10), at*st.p.window)}
}

// before returns the statistic nearest to having of the windows that ended
// before a sample, each at one of the samples.
func (st *metricState) before(k *metricKey, first int64) []pair {
	samples := k.samples.list()
	start, nearest, value, end := 0, -1.0, 0.0, int64(0)
	for j := 0; j < len(samples) && samples[j].at < first; j++ {
		for samples[start].at <= samples[j].at-st.p.window {
			start++
		}
		if j+1-start < st.p.least {
			continue
		}
		v := st.p.measure(samples[start:j+1], st.buf)
		if near := st.p.having.nearness(v); near >= nearest && !st.p.having.hold(v) {
			nearest, value, end = near, v, samples[j].at
		}
	}
	if nearest < 0 {
		return nil
	}
	return []pair{nearestBefore(event.AppendFloat(nil, value), end)}
}

// nearness is how near a number is to the bound that it satisfies least.
func (b *bounds) nearness(f float64) float64 {
	near := 1.0
	for _, p := range [...]struct {
		bound *float64
		holds bool
	}{
		{b.GT, b.GT != nil && f > *b.GT}, {b.GTE, b.GTE != nil && f >= *b.GTE}, {b.LT, b.LT != nil && f < *b.LT}, {b.LTE, b.LTE != nil && f <= *b.LTE},
	} {
		if p.bound != nil && !p.holds {
			near = min(near, closeTo(f, *p.bound))
		}
	}
	return near
}
