package kinds

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
	"unsafe"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/table"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// Metric is the kind of rule that bounds a statistic of a field.
func Metric() engine.Kind {
	return engine.Kind{
		Name:    "metric",
		Meaning: "a statistic of a field over a window satisfies having",
		New:     func() engine.Declaration { return newMetricRule() },
		Keys: map[string]string{
			"field":      "The field of numbers that is measured.",
			"function":   "sum, avg, min, max, or a percentile from p1 to p99.",
			"min_events": "Fewer events in the window say nothing.",
			"having":     "Bounds on the statistic: gt, gte, lt, lte.",
		},
		Words: map[string][]string{"window_kind": windowKinds(), "no_data": {noDataNone, noDataKeep, noDataAlert, noDataResolve}},
		Scaffold: `condition: event.action == "resource-usage"
field: edr.resource.cpu_pct
function: avg
window: 30m
min_events: 5
having: {gte: 50}
tests:
  - name: busy
    events: [{at: +0m, repeat: {count: 10, every: 1m}, set: {event.action: resource-usage, agent.id: a1, edr.resource.cpu_pct: 80}}]
    expect: [{by: +10m, alerts: 1}]
  - name: idle
    events: [{at: +0m, repeat: {count: 10, every: 1m}, set: {event.action: resource-usage, agent.id: a1, edr.resource.cpu_pct: 5}}]
    expect: [{by: +1h, alerts: 0}]
`,
	}
}

// metricRule alerts when a statistic of a numeric field over a window satisfies
// having.
type metricRule struct {
	spec.Header `yaml:",inline"`
	windowKeys  `yaml:",inline"`
	Condition   strict.Text `yaml:"condition,required"`
	Field       string      `yaml:"field,required"`
	Function    string      `yaml:"function,required"` // sum, avg, min, max or p1 to p99.
	Having      bounds      `yaml:"having,required"`
	MinEvents   int         `yaml:"min_events"` // Fewer say nothing.
	NoData      string      `yaml:"no_data"`    // none, keep, alert or resolve: when no event comes for window.
}

// maxSamples is how many events of a window a metric rule keeps for a key; of
// more, the latest count.
const maxSamples = 1024

func newMetricRule() *metricRule {
	return &metricRule{Header: spec.DefaultHeader(), windowKeys: windowKeys{Kind: "sliding"}, MinEvents: 1, NoData: noDataNone}
}

func (d *metricRule) Check(c *spec.Checker) {
	d.windowKeys.check(c)
	if d.windowKeys.Kind == "sliding" {
		checkNoData(c, d.NoData, noDataNone, noDataKeep, noDataAlert, noDataResolve)
	} else {
		checkNoData(c, d.NoData, noDataNone)
	}
	if d.Having.String() == "" {
		c.Problem("having", "having needs gt, gte, lt or lte", "")
	}
	if d.MinEvents < 1 || d.MinEvents > maxSamples {
		c.Problem("min_events", fmt.Sprintf("min_events is %d, expected 1 to %d", d.MinEvents, maxSamples), "")
	}
	if _, ok := statistic(d.Function); !ok {
		c.Problem("function", fmt.Sprintf("unknown function %q", d.Function), "expected sum, avg, min, max or a percentile from p1 to p99")
	}
}

func (d *metricRule) Compile(c *engine.Compiler) engine.Plan {
	p := &metricPlan{
		x: c.Condition(d.Condition), name: d.Field, function: d.Function, windows: d.plan(), window: int64(d.Window), having: d.Having, least: d.MinEvents,
		noData: d.NoData,
	}
	p.field = c.NumericField("field", d.Field)
	p.measure, _ = statistic(d.Function)
	p.tally = newTallyPlan(d.Function, &p.having)
	if p.x == nil {
		return nil
	}
	return p
}

// metricPlan is a compiled metric rule.
type metricPlan struct {
	x        *expression.Expression
	field    ecs.ID
	name     string
	function string
	measure  func([]sample, []float64) float64
	windows  windowPlan
	window   int64
	having   bounds
	tally    tallyPlan
	least    int
	noData   string
}

func (p *metricPlan) Horizon() time.Duration { return time.Duration(p.window) }

func (p *metricPlan) Hooks() []engine.Hook {
	h := engine.NewHook(0, "condition", p.x)
	h.Alternatives = withPresence(h.Alternatives, p.field)
	return []engine.Hook{h}
}

func (p *metricPlan) Traits() engine.Traits {
	return engine.Traits{Endless: !p.windows.sliding, Forwards: p.noData == noDataNone, Reads: []ecs.ID{p.field}}
}

func (p *metricPlan) NewState(s *engine.Session, r *engine.Rule) engine.State {
	if !p.windows.sliding {
		return newBucketMetric(s, r, p)
	}
	st := &metricState{RuleSession: engine.NewRuleSession(s, r), p: p, table: engine.NewTable[metricKey](s, r), buf: make([]float64, 0, maxSamples)}
	st.watch = dataWatch{rs: &st.RuleSession, behavior: p.noData, span: p.window, what: p.name}
	return st
}

// metricState holds the windows of a metric rule.
type metricState struct {
	engine.RuleSession
	p     *metricPlan
	watch dataWatch
	table *table.Keyed[metricKey]
	buf   []float64
}

// metricKey is the state of one key.
type metricKey struct {
	engine.Episode
	subjects
	trace
	dataKey
	samples table.Queue[sample] // Ascending by time.
	tally   tally               // Of the newest window.
	last    int64               // Clock when the window last satisfied having.
	newest  int64
	atLeast int64 // The episode does not end before.
	settled int64 // Windows that ended up to here are not judged again.
}

func (st *metricState) KeyCount() (int, uint64) { return st.table.Held(), st.table.Evicted }

func (st *metricState) ClockJumped(gap int64) int64 { return st.watch.step(gap) }

func (st *metricState) Next() int64 {
	if e := st.table.Next(); e != nil {
		return e.Due
	}
	return math.MaxInt64
}

func (st *metricState) Observe(_ int, m *engine.Evaluation) {
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
	k.newest = max(k.newest, m.At)
	k.subjects.add(st.Rule(), m)
	k.trace.add(m)
	st.watch.noteData(&k.dataKey, m, e.Key, k.entity(st.Rule()))
	pos := k.insert(sample{m.At, v.Float()}, k.newest-st.p.window-st.Lateness())
	value, window, reached := st.reached(k, m.At, pos)
	switch {
	case reached && k.Firing():
		k.Count, k.last = int64(max(int(k.Count), len(window))), m.Now
	case reached:
		st.begin(e, m, value, window)
	case k.Firing() && st.watch.waits() && len(window) < st.p.least:
		// What comes again has to say something first.
	case k.Firing() && m.At == k.newest && m.Now >= max(k.last+st.KeepFiring(), k.atLeast):
		why := fmt.Sprintf("%s is %s now", st.p.what(), wording.Decimal(value))
		if len(window) < st.p.least {
			why = "the window has only " + wording.Plural(int64(len(window)), "event") + " left"
		}
		st.resolve(e, m.Now, k.newest, why, m.Event)
	case st.NearMisses() != nil && !k.Firing():
		st.p.missed(&st.RuleSession, e.Key, m.At, value, len(window))
	}
	st.schedule(e)
}

// insert adds a sample in order of time, forgets those up to a limit, and
// returns the place of the new one.
func (k *metricKey) insert(s sample, limit int64) int {
	samples := k.samples.List()
	n := max(len(samples)+1-maxSamples, 0)
	for n < len(samples) && samples[n].at <= limit {
		n++
	}
	k.samples.Drop(n)
	k.tally.dropped(n)
	samples = samples[n:]
	i := len(samples)
	for i > 0 && samples[i-1].at > s.at {
		i--
	}
	k.samples.Insert(i, s)
	return i
}

// reached looks at the windows that the new sample is in, each ending at a
// sample, and returns the first that satisfies having, else the last.
func (st *metricState) reached(k *metricKey, at int64, pos int) (value float64, window []sample, ok bool) {
	samples := k.samples.List()
	if pos == len(samples)-1 {
		k.tally.advance(&st.p.tally, samples, st.p.window)
		if window = samples[k.tally.from:]; !k.Firing() && st.NearMisses() == nil && (len(window) < st.p.least || !k.tally.may(&st.p.tally, len(window))) {
			return 0, window, false
		}
	} else {
		k.tally.known = false
	}
	start := 0
	for j := pos; j < len(samples) && samples[j].at-at < st.p.window; j++ {
		if j+1 < len(samples) && samples[j+1].at == samples[j].at || !k.Firing() && samples[j].at <= k.settled {
			continue // The window ends after the last of equal times.
		}
		for samples[start].at <= samples[j].at-st.p.window {
			start++
		}
		window = samples[start : j+1]
		if len(window) < st.p.least {
			continue
		}
		value = st.p.measure(window, st.buf)
		if st.p.having.hold(value) {
			return value, window, true
		}
	}
	return value, window, false
}

func (p *metricPlan) what() string { return p.function + " of " + p.name }

// begin starts an episode.
func (st *metricState) begin(e *table.Entry[metricKey], m *engine.Evaluation, value float64, window []sample) {
	k := &e.Data
	// The windows of two episodes may have the first event in common, not the last.
	end := window[len(window)-1].at
	k.Episode = st.NewEpisode(e.Key, end, "")
	k.Count, k.last, k.atLeast = int64(len(window)), m.Now, m.Now+st.Suppress()
	agent := k.entity(st.Rule())
	st.Raise(&k.Episode, &engine.Alert{
		At: m.Now, End: max(m.At, k.newest), Status: "firing", Key: e.Key, Entity: agent, Source: m.Event, Hosts: k.names(),
		Reason:   st.p.reason(engine.Subject(agent, e.Key), value, k.Count),
		Evidence: append(append(st.p.evidence(value, window, m), st.before(k, window[0].at)...), k.trace.evidence(window[0].at, end, k.Count)...),
	})
}

// reason says in a sentence what was measured.
func (p *metricPlan) reason(who string, value float64, events int64) string {
	return fmt.Sprintf("%s: %s over %s is %s in %s (threshold: %s)", who, p.what(), p.windows.phrase(), wording.Decimal(value),
		wording.Plural(events, "event"), p.having.String())
}

// evidence shows what was measured.
func (p *metricPlan) evidence(value float64, window []sample, m *engine.Evaluation) []engine.Evidence {
	low := slices.MinFunc(window, func(a, b sample) int { return cmp.Compare(a.value, b.value) }).value
	high := slices.MaxFunc(window, func(a, b sample) int { return cmp.Compare(a.value, b.value) }).value
	list := append(append(engine.Clauses(p.x, m), engine.Text("field", p.name), engine.Text("function", p.function)), p.windows.evidence()...)
	list = append(list, engine.Text("window_start", wording.TimeText(window[0].at)))
	return append(list, engine.Text("threshold", p.having.String()), engine.Float("value", value), engine.Float("min", low), engine.Float("max", high),
		engine.Number("events", int64(len(window))))
}

// resolve ends an episode; what happened up to settled begins no other.
func (st *metricState) resolve(e *table.Entry[metricKey], at, settled int64, why string, source *event.Event) {
	k := &e.Data
	k.Resolve()
	k.settled = settled
	agent := k.entity(st.Rule())
	st.Raise(&k.Episode, &engine.Alert{
		At: at, End: k.newest, Status: "resolved", Key: e.Key, Entity: agent, Source: source, Hosts: k.names(),
		Reason:   fmt.Sprintf("%s no longer satisfies %s: %s", engine.Subject(agent, e.Key), st.p.having.String(), why),
		Evidence: []engine.Evidence{engine.Text("field", st.p.name), engine.Text("function", st.p.function), engine.Text("threshold", st.p.having.String())},
	})
	k.hosts = nil
}

// schedule sets the timer to the end of the window.
func (st *metricState) schedule(e *table.Entry[metricKey]) {
	due := st.ends(&e.Data)
	if due == math.MaxInt64 {
		return
	}
	due = max(due, st.Now()+1)
	if !e.Timed() || due < e.Due {
		st.table.Wake(e, due)
		st.WakeAt(due)
	}
}

// ends is when the window is empty, or the key of no use.
func (st *metricState) ends(k *metricKey) int64 {
	own := max(k.newest+st.p.window, k.settled) + st.Lateness()
	if k.Firing() {
		own = max(k.newest+st.p.window, k.last+st.KeepFiring(), k.atLeast)
	}
	return st.watch.ends(&k.dataKey, k.Firing(), own)
}

// Fire ends an episode or forgets a key.
func (st *metricState) Fire(due int64) {
	e := st.table.Next()
	k := &e.Data
	if at := st.ends(k); at > due {
		st.table.Wake(e, 0)
		st.schedule(e)
		return
	}
	if st.watch.raiseMissing(&k.dataKey, due, e.Key, k.entity(st.Rule())) {
		st.table.Wake(e, 0)
		return
	}
	if !k.Firing() {
		st.table.Remove(e)
		return
	}
	st.table.Wake(e, 0)
	st.resolve(e, due, due-1, "nothing came within "+wording.Duration(st.p.window), nil)
	st.schedule(e)
}

func (k *metricKey) Weight() int {
	return k.Episode.Weight() + k.gone.Weight() + k.subjects.Weight() + k.trace.Weight() + table.Grown(k.samples.Len(), int(unsafe.Sizeof(sample{})))
}

func (k *metricKey) OpenAlerts(end func(engine.OpenAlert), key string, r *engine.Rule) {
	k.openOf(&k.Episode, end, key, r)
	k.dataKey.OpenAlerts(end, key, k.entity(r))
}

func (st *metricState) OpenAlerts(end func(engine.OpenAlert)) {
	engine.OpenAlertsIn(st.table, st.Rule(), end)
}

func (st *metricState) Persist(a *engine.Archive) {
	st.watch.persist(a)
	engine.PersistTable(a, st.table, func(e *table.Entry[metricKey]) {
		k := &e.Data
		k.Episode.Persist(a)
		k.subjects.persist(a)
		k.trace.persist(a)
		k.dataKey.persist(a)
		k.samples.Persist(a.Codec, func(s *sample) {
			a.Time(&s.at)
			a.Float(&s.value)
		})
		k.Episode.PersistFiring(a)
		for _, t := range []*int64{&k.last, &k.newest, &k.atLeast, &k.settled} {
			a.Time(t)
		}
	})
}

// missed offers a statistic that does not satisfy having.
func (p *metricPlan) missed(rs *engine.RuleSession, key string, at int64, value float64, events int) {
	miss := engine.NearMiss{Rule: rs.Rule(), Stage: engine.MissedBound, Key: key, At: at, Measure: p.what(), Value: value}
	if events < p.least {
		miss.Measure, miss.Value, miss.Bound = "events", float64(events), float64(p.least)
		miss.Nearness = float64(events) / float64(p.least) / 2 // There is no figure yet.
		miss.Reason = fmt.Sprintf("had %s in %s; the rule asks for %d at least before it looks at the %s (min_events)",
			wording.Plural(int64(events), "event"), p.windows.phrase(), p.least, p.what())
		rs.NearMisses().Offer(miss)
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
		if near := engine.Closeness(value, *b); !alone.hold(value) && near <= miss.Nearness {
			miss.Nearness, miss.Bound = near, *b
		}
	}
	miss.Nearness = 0.5 + miss.Nearness/2
	miss.Reason = fmt.Sprintf("had %s at %s over %s, in %s; the rule asks for %s", p.what(), wording.Decimal(value), p.windows.phrase(),
		wording.Plural(int64(events), "event"), p.having.String())
	rs.NearMisses().Offer(miss)
}

// before returns the statistic nearest to having of the windows that ended
// before a sample, each at one of the samples.
func (st *metricState) before(k *metricKey, first int64) []engine.Evidence {
	samples := k.samples.List()
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
	return []engine.Evidence{nearestBefore(event.AppendFloat(nil, value), end)}
}
