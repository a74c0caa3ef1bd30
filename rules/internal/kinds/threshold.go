package kinds

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/table"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// Threshold is the kind of rule that counts events.
func Threshold() engine.Kind {
	return engine.Kind{
		Name:    "threshold",
		Meaning: "the number of matching events in a window satisfies having",
		New:     func() engine.Declaration { return newThresholdRule() },
		Keys: map[string]string{
			"debounce": "Events closer than this to one that was counted are the same occurrence.",
		},
		Words: map[string][]string{"window_kind": windowKinds(), "no_data": {noDataNone, noDataKeep}},
		Scaffold: `condition: event.action == "sensor-stopped"
window: 1h
having: {gte: 3}
tests:
  - name: three times
    events: [{at: +0m, repeat: {count: 3, every: 10m}, set: {event.action: sensor-stopped, agent.id: a1}}]
    expect: [{by: +20m, alerts: 1}]
  - name: twice
    events: [{at: +0m, repeat: {count: 2, every: 10m}, set: {event.action: sensor-stopped, agent.id: a1}}]
    expect: [{by: +2h, alerts: 0}]
`,
	}
}

// thresholdRule alerts when the number of matching events of a key within a
// window of event time satisfies having.
type thresholdRule struct {
	spec.Header `yaml:",inline"`
	windowKeys  `yaml:",inline"`
	Condition   strict.Text   `yaml:"condition,required"`
	Having      having        `yaml:"having,required"`
	Debounce    time.Duration `yaml:"debounce"` // Events closer than this to one that was counted are the same occurrence.
	NoData      string        `yaml:"no_data"`  // none, or keep: while nothing at all comes from the agent.
}

func newThresholdRule() *thresholdRule {
	return &thresholdRule{Header: spec.DefaultHeader(), windowKeys: windowKeys{Kind: "sliding"}, NoData: noDataNone}
}

func (d *thresholdRule) Check(c *spec.Checker) {
	d.windowKeys.check(c)
	checkKeep(c, &d.Header, d.NoData)
	c.Positive("debounce", d.Debounce, true)
	if d.Debounce >= d.Window && d.Window > 0 {
		c.Problem("debounce", "debounce is not shorter than window, so that nothing could ever be counted twice", "")
	}
	low, high := d.Having.limits()
	switch {
	case d.Having.GT == nil && d.Having.GTE == nil && d.Having.EQ == nil:
		c.Problem("having", "having needs gt, gte or eq: a count can only be noticed when an event raises it",
			"for events that stop coming there is type: silence")
	case low > high:
		c.Problem("having", fmt.Sprintf("no count satisfies %s", d.Having.String()), "")
	case low > maxCount:
		c.Problem("having", fmt.Sprintf("a count of %d is more than %d", low, maxCount), "count a rarer event or take a smaller window")
	}
}

func (d *thresholdRule) Compile(c *engine.Compiler) engine.Plan {
	x := c.Condition(d.Condition)
	if x == nil {
		return nil
	}
	p := &thresholdPlan{x: x, kept: d.KeepFiringFor != 0 || d.Suppress != 0, windows: d.plan(), keep: d.NoData == noDataKeep, window: int64(d.Window), debounce: int64(d.Debounce), having: d.Having.String()}
	p.low, p.high = d.Having.limits()
	return p
}

// thresholdPlan is a compiled threshold rule.
type thresholdPlan struct {
	x         *expression.Expression
	windows   windowPlan
	keep      bool // no_data: keep.
	kept      bool // With keep_firing_for or suppress.
	window    int64
	debounce  int64
	low, high int64
	having    string
}

func (p *thresholdPlan) Hooks() []engine.Hook {
	return []engine.Hook{engine.NewHook(0, "condition", p.x)}
}

func (p *thresholdPlan) Horizon() time.Duration { return time.Duration(p.window) }

// room is how many times a key keeps. Before an alert a window has fewer than
// the threshold, so that all that a late event could be counted with fit in;
// while it fires the latest decide when it ends.
func (p *thresholdPlan) room(firing bool, lateness int64) int {
	if firing {
		return int(max(2*p.low, 64))
	}
	return int(min(max(p.low*(lateness/p.window+2), 64), 8*maxCount))
}

// Traits: an episode that is kept firing depends on when events come.
func (p *thresholdPlan) Traits() engine.Traits {
	return engine.Traits{Orderless: !p.kept, Forwards: !p.keep}
}

func (p *thresholdPlan) NewState(s *engine.Session, r *engine.Rule) engine.State {
	if !p.windows.sliding {
		return newBucketState(s, r, counted{
			windowPlan: p.windows, x: p.x, having: p.having, low: p.low, high: p.high, noun: "matching event", debounce: p.debounce,
			keep: p.keep,
		})
	}
	st := &thresholdState{RuleSession: engine.NewRuleSession(s, r), p: p}
	st.episodes = episodes[thresholdKey, *thresholdKey]{rs: &st.RuleSession, table: engine.NewTable[thresholdKey](s, r), ends: st.ends, resolved: st.resolve}
	if p.keep {
		st.unheardFor = p.window
	}
	return st
}

// thresholdState holds the windows of a threshold rule.
type thresholdState struct {
	engine.RuleSession
	episodes[thresholdKey, *thresholdKey]
	p *thresholdPlan
}

// thresholdKey is the state of one key.
type thresholdKey struct {
	engine.Episode
	subjects
	trace
	times   table.Queue[int64] // Of the latest events, ascending.
	newest  int64              // Latest event time counted.
	atLeast int64              // The episode does not end before.
	settled int64              // When the last episode ended: windows up to here are not judged again.
}

func (k *thresholdKey) episode() *engine.Episode { return &k.Episode }
func (k *thresholdKey) about() *subjects         { return &k.subjects }

func (st *thresholdState) KeyCount() (int, uint64) { return st.table.Held(), st.table.Evicted }

func (st *thresholdState) Observe(_ int, m *engine.Evaluation) {
	if m.Late {
		st.CountLate()
		return
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
	if k.near(m.At, st.p.debounce) {
		return
	}
	k.trace.add(m)
	pos := k.insert(m.At, st.p.room(k.Firing(), st.Lateness()))
	spare := k.times.Len()
	if k.Firing() { // The last ones that were enough tell when the episode ends.
		spare -= int(st.p.low)
	}
	k.prune(k.newest-st.p.window-st.Lateness(), spare)
	if k.Firing() {
		k.Count++
		st.sustain(k, k.times.Len()-pos)
	} else if first, count, ok := st.crossing(k, m.At, pos); ok {
		st.begin(e, m, first, count)
		st.sustain(k, k.times.Len()-pos)
	} else if st.NearMisses() != nil {
		st.missed(e, m)
	}
	if !timed {
		st.schedule(e)
	}
}

// near reports whether a counted event is closer than a span.
func (k *thresholdKey) near(at, span int64) bool {
	times := k.times.List()
	for i := len(times) - 1; i >= 0 && span > 0; i-- {
		switch d := at - times[i]; {
		case d < span && d > -span:
			return true
		case d >= span:
			return false
		}
	}
	return false
}

// insert adds a time in order and returns how many are not before it.
func (k *thresholdKey) insert(at int64, room int) (fromEnd int) {
	times := k.times.List()
	i := len(times)
	for i > 0 && times[i-1] > at {
		i--
	}
	fromEnd = len(times) + 1 - i
	k.times.Insert(i, at)
	k.times.Drop(max(k.times.Len()-room, 0))
	return fromEnd
}

// prune forgets times up to a limit, and no more than are spare.
func (k *thresholdKey) prune(limit int64, spare int) {
	times := k.times.List()
	n := 0
	for n < min(len(times), spare) && times[n] <= limit {
		n++
	}
	k.times.Drop(n)
}

// crossing looks at the windows that the new event is in, each ending at an
// event, and returns the first whose count satisfies the threshold. A window
// holds the events of (end - window, end]. What ended before the last episode
// did is not looked at again: a late event is no new storm.
func (st *thresholdState) crossing(k *thresholdKey, at int64, fromEnd int) (first, count int64, ok bool) {
	times := k.times.List()
	start := 0
	for j := max(len(times)-fromEnd, 0); j < len(times) && times[j]-at < st.p.window; j++ {
		if j+1 < len(times) && times[j+1] == times[j] || times[j] <= k.settled {
			continue // The window ends after the last of equal times.
		}
		// Nearly always the event that would be the first of enough is not there
		// or too old, and where the window begins does not matter.
		if enough := int64(j) + 1 - st.p.low; enough < 0 || times[j]-times[enough] >= st.p.window {
			continue
		}
		for times[j]-times[start] >= st.p.window {
			start++
		}
		if n := int64(j - start + 1); n >= st.p.low && n <= st.p.high {
			return times[start], n, true
		}
	}
	return 0, 0, false
}

// begin starts an episode.
func (st *thresholdState) begin(e *table.Entry[thresholdKey], m *engine.Evaluation, first, count int64) {
	k := &e.Data
	k.Episode = st.NewEpisode(e.Key, first, "")
	k.Count, k.atLeast = count, m.Now+st.Suppress()
	evidence := append(engine.Clauses(st.p.x, m), st.p.windows.evidence()...)
	evidence = append(evidence, engine.Text("threshold", st.p.having), engine.Number("value", count))
	evidence = append(evidence, k.before(first, st.p.window)...)
	agent := k.entity(st.Rule())
	st.Raise(&k.Episode, &engine.Alert{
		At: m.Now, End: max(m.At, k.newest), Status: "firing", Key: e.Key, Entity: agent, Source: m.Event, Hosts: k.names(),
		Reason: fmt.Sprintf("%s had %s within %s (threshold: %s in %s)", engine.Subject(agent, e.Key), wording.Plural(count, "matching event"),
			wording.Duration(m.At-first), st.p.having, wording.Duration(st.p.window)),
		Evidence: append(evidence, k.trace.evidence(first, first+st.p.window-1, count)...),
	})
}

// sustain puts the end of an episode off to when the latest window that has
// enough, of those that hold a new event and the newest, has no longer.
func (st *thresholdState) sustain(k *thresholdKey, fresh int) {
	times, low := k.times.List(), int(st.p.low)
	for _, latest := range [2]int{len(times) - low, min(fresh, len(times)-low)} {
		for first := latest; first >= max(0, min(latest, fresh-low+1)); first-- {
			if times[first+low-1]-times[first] < st.p.window {
				k.atLeast = max(k.atLeast, times[first]+st.p.window+st.KeepFiring())
				break
			}
		}
	}
}

// ends is when the threshold is no longer reached, or the key is empty.
func (st *thresholdState) ends(k *thresholdKey) int64 {
	if k.Firing() {
		return k.atLeast
	}
	return max(k.newest+st.p.window, k.settled) + st.Lateness()
}

// resolve writes the document that ends the alert of a key.
func (st *thresholdState) resolve(e *table.Entry[thresholdKey], due int64) {
	k := &e.Data
	k.settled = due - 1 // A window that ends when the episode does may begin the next.
	agent := k.entity(st.Rule())
	st.Raise(&k.Episode, &engine.Alert{
		At: due, End: k.newest, Status: "resolved", Key: e.Key, Entity: agent, Hosts: k.names(),
		Reason: fmt.Sprintf("%s is below the threshold again; %s since %s", engine.Subject(agent, e.Key), wording.Plural(k.Count, "matching event"),
			wording.TimeText(k.Start)),
		Evidence: append(st.p.windows.evidence(), engine.Text("threshold", st.p.having), engine.Number("value", k.Count)),
	})
}

func (k *thresholdKey) Weight() int {
	return k.Episode.Weight() + k.subjects.Weight() + k.trace.Weight() + table.Grown(k.times.Len(), 8)
}

func (k *thresholdKey) OpenAlerts(end func(engine.OpenAlert), key string, r *engine.Rule) {
	k.openOf(&k.Episode, end, key, r)
}

func (st *thresholdState) OpenAlerts(end func(engine.OpenAlert)) {
	engine.OpenAlertsIn(st.table, st.Rule(), end)
}

func (st *thresholdState) Persist(a *engine.Archive) {
	engine.PersistTable(a, st.table, func(e *table.Entry[thresholdKey]) {
		k := &e.Data
		k.Episode.Persist(a)
		k.subjects.persist(a)
		k.trace.persist(a)
		persistTimes(a, &k.times)
		k.Episode.PersistFiring(a)
		for _, t := range []*int64{&k.newest, &k.atLeast, &k.settled} {
			a.Time(t)
		}
		if k.Firing() && int64(k.times.Len()) < st.p.low {
			a.Fail("an alert that needs %d events fires with %d", st.p.low, k.times.Len())
		}
	})
}

// persistTimes writes or reads times in ascending order.
func persistTimes(a *engine.Archive, q *table.Queue[int64]) {
	q.Persist(a.Codec, a.Time)
	if a.Reading() && !slices.IsSorted(q.List()) {
		a.Fail("the times of a key are not in order")
	}
}

func (st *thresholdState) missed(e *table.Entry[thresholdKey], m *engine.Evaluation) {
	times := e.Data.times.List()
	most, end, start := int64(0), m.At, 0
	for j := range times {
		for times[j]-times[start] >= st.p.window {
			start++
		}
		if n := int64(j - start + 1); times[j] >= m.At && times[start] <= m.At && n > most {
			most, end = n, times[j]
		}
	}
	offerCount(&st.RuleSession, e.Key, end, most, st.p.low, st.p.high, "matching event", st.p.having, wording.Duration(st.p.window))
}

// before returns the most events of a window that ended before a time, which
// ends at the latest of them; nothing where none is remembered.
func (k *thresholdKey) before(first, window int64) []engine.Evidence {
	times := k.times.List()
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
	return []engine.Evidence{nearestBefore(strconv.AppendInt(nil, int64(most), 10), end)}
}
