package rules

import (
	"fmt"
	"math"
	"strings"
)

// What the states offer as misses. Each is called where a state has judged an
// event and raises nothing, in a session that was asked for misses.

// count offers a number of things that is not what having asks for.
func offerCount(rs *RuleSession, key string, at, had, low, high int64, noun, having, window string) {
	miss := Miss{Rule: rs.rule(), Stage: MissedBound, Key: key, At: at, Measure: noun, Value: float64(had), Bound: float64(low)}
	miss.Nearness = float64(had) / float64(low)
	if had > high {
		miss.Bound, miss.Nearness = float64(high), float64(high)/float64(had)
	}
	what, of, isOf := strings.Cut(noun, " of ") // "value of process.name"
	what = plural(had, what)
	if isOf {
		what += " of " + of
	}
	miss.Reason = fmt.Sprintf("had %s within %s; the rule asks for %s", what, window, having)
	rs.near().offer(miss)
}

func (st *thresholdState) missed(e *entry[thresholdKey], m *moment) {
	times := e.data.times.list()
	most, end, start := int64(0), m.at, 0
	for j := range times {
		for times[j]-times[start] >= st.p.window {
			start++
		}
		if n := int64(j - start + 1); times[j] >= m.at && times[start] <= m.at && n > most {
			most, end = n, times[j]
		}
	}
	offerCount(&st.RuleSession, e.key, end, most, st.p.low, st.p.high, "matching event", st.p.having, duration(st.p.window))
}

func (st *bucketState) missed(e *entry[bucketKey], m *moment, n int64) {
	offerCount(&st.RuleSession, e.key, m.at, n, st.p.low, st.p.high, st.p.noun, st.p.having, st.p.phrase())
}

func (st *valueCountState) missed(e *entry[valueCountKey], m *moment) {
	most, end := int64(0), m.at
	seen := &e.data.seen
	for place := seen.oldest; place != 0; place = seen.node(place).newer {
		if at := seen.node(place).at; at >= m.at && at-m.at < st.p.window {
			if n := seen.within(at, st.p.window); n > most {
				most, end = n, at
			}
		}
	}
	most = max(most, seen.within(m.at, st.p.window))
	offerCount(&st.RuleSession, e.key, end, most, st.p.low, math.MaxInt64, "different value of "+st.p.name, st.p.having, duration(st.p.window))
}

// missed offers a statistic that does not satisfy having.
func (p *metricPlan) missed(rs *RuleSession, key string, at int64, value float64, events int) {
	miss := Miss{Rule: rs.rule(), Stage: MissedBound, Key: key, At: at, Measure: p.what(), Value: value}
	if events < p.least {
		miss.Measure, miss.Value, miss.Bound = "events", float64(events), float64(p.least)
		miss.Nearness = float64(events) / float64(p.least) / 2 // There is no figure yet.
		miss.Reason = fmt.Sprintf("had %s in %s; the rule asks for %d at least before it looks at the %s (min_events)",
			plural(int64(events), "event"), p.windows.phrase(), p.least, p.what())
		rs.near().offer(miss)
		return
	}
	miss.Nearness = 1
	for _, b := range []*float64{p.having.GT, p.having.GTE, p.having.LT, p.having.LTE} {
		if b == nil {
			continue
		}
		alone := bounds{}
		switch b {
		case p.having.GT:
			alone.GT = b
		case p.having.GTE:
			alone.GTE = b
		case p.having.LT:
			alone.LT = b
		case p.having.LTE:
			alone.LTE = b
		}
		if near := closeTo(value, *b); !alone.hold(value) && near <= miss.Nearness {
			miss.Nearness, miss.Bound = near, *b
		}
	}
	miss.Nearness = 0.5 + miss.Nearness/2
	miss.Reason = fmt.Sprintf("had %s at %s over %s, in %s; the rule asks for %s", p.what(), decimal(value), p.windows.phrase(),
		plural(int64(events), "event"), p.having.String())
	rs.near().offer(miss)
}

func (st *spikeState) missed(e *entry[spikeKey], w, n int64, mean float64, known, now int64) {
	miss := Miss{Rule: st.rule(), Stage: MissedBound, Key: e.key, At: min((w+1)*st.p.window, now), Measure: "matching events", Value: float64(n)}
	had := fmt.Sprintf("had %s in %s", plural(n, "matching event"), duration(st.p.window))
	past := fmt.Sprintf("with %s on average in the %s before", decimal(mean), plural(known, "window"))
	switch {
	case known < st.p.known:
		miss.Measure, miss.Value, miss.Bound = "windows of the past", float64(max(known, 0)), float64(st.p.known)
		miss.Nearness = miss.Value / miss.Bound / 2
		miss.Reason = fmt.Sprintf("%s, and a past of %s; the rule asks for %d (min_history)", had, plural(max(known, 0), "whole window"), st.p.known)
	case !st.p.down && n < st.p.least:
		miss.Bound = float64(st.p.least)
		miss.Nearness = miss.Value / miss.Bound / 2
		miss.Reason = fmt.Sprintf("%s; the rule asks for %d at least (min_events)", had, st.p.least)
	case !st.p.down && miss.Value < st.p.times*mean:
		miss.Bound = st.p.times * mean
		miss.Nearness = 0.5 + miss.Value/miss.Bound/2
		miss.Reason = fmt.Sprintf("%s, %s; the rule asks for %s times that, which is %s", had, past, decimal(st.p.times), decimal(miss.Bound))
	case st.p.down && mean < float64(st.p.least):
		miss.Measure, miss.Value, miss.Bound = "matching events of the past", mean, float64(st.p.least)
		miss.Nearness = mean / miss.Bound / 2
		miss.Reason = fmt.Sprintf("%s, %s; the rule asks for %d on average at least (min_events)", had, past, st.p.least)
	case st.p.down && miss.Value*st.p.times > mean:
		miss.Bound = mean / st.p.times
		miss.Nearness = 0.5 + miss.Bound/miss.Value/2
		miss.Reason = fmt.Sprintf("%s, %s; the rule asks for a %sth of that or less, which is %s", had, past, decimal(st.p.times), decimal(miss.Bound))
	default:
		return
	}
	st.near().offer(miss)
}

// excused offers a window with few events that say nothing.
func (st *spikeState) excused(e *entry[spikeKey], w int64) {
	reason := "the feed had stalled"
	if w*st.p.window >= st.stalled {
		reason = "no other records of its host came steadily (host: up)"
	}
	st.near().offer(Miss{
		Rule: st.rule(), Stage: MissedBound, Key: e.key, At: (w + 1) * st.p.window,
		Reason: fmt.Sprintf("had %s in %s, which says nothing because %s", plural(e.data.count(w), "matching event"), duration(st.p.window), reason),
	})
}

func (st *anomalyState) missed(key string, k *anomalyKey, m *moment, value, mean, score float64, resting bool) {
	samples := 0
	switch {
	case k.novelty != nil:
		samples = int(k.novelty.samples)
	case k.seasonal != nil:
		samples = int(k.seasonal.samples)
	default:
		samples = int(k.ewma.samples)
	}
	miss := Miss{Rule: st.rule(), Stage: MissedBound, Key: key, At: m.at, Measure: "score", Value: score, Bound: st.p.score, Nearness: 0.5 + min(score/st.p.score, 1)/2}
	figures := fmt.Sprintf("had a score of %s with %s of %s, and %s lately", decimal(score), st.p.name, decimal(value), decimal(mean))
	switch {
	case samples <= st.p.learn:
		miss.Measure, miss.Value, miss.Bound = "values", float64(samples), float64(st.p.learn+1)
		miss.Nearness = miss.Value / miss.Bound / 2
		miss.Reason = fmt.Sprintf("had %s of %s; the first %d are learnt from and raise nothing (learn)", plural(int64(samples), "value"), st.p.name, st.p.learn)
	case resting:
		miss.Nearness /= 2
		miss.Reason = fmt.Sprintf("%s, in the %d values after an alert, which raise nothing (cooldown)", figures, st.p.cooldown)
	case score < st.p.score:
		miss.Reason = fmt.Sprintf("%s; the rule asks for %s", figures, decimal(st.p.score))
	default:
		miss.Nearness /= 2
		miss.Reason = fmt.Sprintf("%s, which is not the direction %s", figures, st.p.direction)
	}
	st.near().offer(miss)
}
