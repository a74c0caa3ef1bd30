package rules

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// Metric is the kind of rule that bounds a statistic of a field.
func Metric() Kind {
	return Kind{
		Name: "metric",
		New:  func() declaration { return newMetricRule() },
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
	Header     `yaml:",inline"`
	windowKeys `yaml:",inline"`
	Condition  strict.Text `yaml:"condition,required"`
	Field      string      `yaml:"field,required"`
	Function   string      `yaml:"function,required"` // sum, avg, min, max or p1 to p99.
	Having     bounds      `yaml:"having,required"`
	MinEvents  int         `yaml:"min_events"` // Fewer say nothing.
	NoData     string      `yaml:"no_data"`    // none, keep, alert or resolve: when no event comes for window.
}

// bounds limit a measured number. All given ones hold.
type bounds struct {
	GT  *float64 `yaml:"gt"`
	GTE *float64 `yaml:"gte"`
	LT  *float64 `yaml:"lt"`
	LTE *float64 `yaml:"lte"`
}

// hold reports whether a number satisfies all bounds.
func (b *bounds) hold(f float64) bool {
	return (b.GT == nil || f > *b.GT) && (b.GTE == nil || f >= *b.GTE) && (b.LT == nil || f < *b.LT) && (b.LTE == nil || f <= *b.LTE)
}

// String writes the bounds as a rule file's reader says them.
func (b *bounds) String() string {
	var parts []string
	for _, p := range []struct {
		sign  string
		bound *float64
	}{{">", b.GT}, {">=", b.GTE}, {"<", b.LT}, {"<=", b.LTE}} {
		if p.bound != nil {
			parts = append(parts, p.sign+" "+decimal(*p.bound))
		}
	}
	return strings.Join(parts, " and ")
}

// maxSamples is how many events of a window a metric rule keeps for a key; of
// more, the latest count.
const maxSamples = 1024

func newMetricRule() *metricRule {
	return &metricRule{Header: defaultHeader(), windowKeys: windowKeys{Kind: "sliding"}, MinEvents: 1, NoData: noDataNone}
}

func (d *metricRule) header() *Header { return &d.Header }

func (d *metricRule) check(c *checker) {
	d.windowKeys.check(c)
	if d.windowKeys.Kind == "sliding" {
		checkNoData(c, d.NoData, noDataNone, noDataKeep, noDataAlert, noDataResolve)
	} else {
		checkNoData(c, d.NoData, noDataNone)
	}
	if d.Having.String() == "" {
		c.problem("having", "having needs gt, gte, lt or lte", "")
	}
	if d.MinEvents < 1 || d.MinEvents > maxSamples {
		c.problem("min_events", fmt.Sprintf("min_events is %d, expected 1 to %d", d.MinEvents, maxSamples), "")
	}
	if _, ok := statistic(d.Function); !ok {
		c.problem("function", fmt.Sprintf("unknown function %q", d.Function), "expected sum, avg, min, max or a percentile from p1 to p99")
	}
}

// statistic returns what computes a function over samples, with a buffer to
// sort in.
func statistic(name string) (func(samples []sample, buf []float64) float64, bool) {
	switch name {
	case "sum":
		return sum, true
	case "avg":
		return func(s []sample, _ []float64) float64 { return sum(s, nil) / float64(len(s)) }, true
	case "min":
		return func(s []sample, _ []float64) float64 {
			least := math.Inf(1)
			for i := range s {
				least = min(least, s[i].value)
			}
			return least
		}, true
	case "max":
		return func(s []sample, _ []float64) float64 {
			most := math.Inf(-1)
			for i := range s {
				most = max(most, s[i].value)
			}
			return most
		}, true
	}
	digits, isPercentile := strings.CutPrefix(name, "p")
	p, err := strconv.Atoi(digits)
	if !isPercentile || err != nil || p < 1 || p > 99 || strconv.Itoa(p) != digits {
		return nil, false
	}
	return func(s []sample, buf []float64) float64 { return percentile(s, buf, p) }, true
}

func sum(samples []sample, _ []float64) float64 {
	total := 0.0
	for i := range samples {
		total += samples[i].value
	}
	return total
}

// percentile is the nearest-rank percentile: the least value such that p per
// cent of the samples are not above it.
func percentile(samples []sample, buf []float64, p int) float64 {
	rank := (p*len(samples) + 99) / 100 // Rounded up; from 1.
	buf = buf[:0]
	for i := range samples {
		buf = append(buf, samples[i].value)
	}
	return nth(buf, rank-1)
}

// nth returns the value that stands at a place when the values are in order.
// It reorders them (Hoare's quickselect, the middle of three as pivot).
func nth(v []float64, n int) float64 {
	low, high := 0, len(v)-1
	for low < high {
		a, b, c := v[low], v[(low+high)/2], v[high]
		pivot := max(min(a, b), min(max(a, b), c))
		i, j := low, high
		for i <= j {
			for v[i] < pivot {
				i++
			}
			for v[j] > pivot {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i++
				j--
			}
		}
		switch {
		case n <= j:
			high = j
		case n >= i:
			low = i
		default:
			return v[n]
		}
	}
	return v[n]
}

func (d *metricRule) compile(c *compiler) plan {
	p := &metricPlan{
		x: c.condition(d.Condition), name: d.Field, function: d.Function, windows: d.plan(), window: int64(d.Window), having: d.Having, least: d.MinEvents,
		noData: d.NoData,
	}
	p.field = c.numericField("field", d.Field)
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

func (p *metricPlan) horizon() time.Duration { return time.Duration(p.window) }

func (p *metricPlan) hooks() []hook {
	h := hookOf(0, "condition", p.x)
	h.alternatives = withPresence(h.alternatives, p.field)
	return []hook{h}
}

func (p *metricPlan) traits() traits { return traits{endless: !p.windows.sliding} }

func (p *metricPlan) newState(s *Session, r *Rule) state {
	if !p.windows.sliding {
		return newBucketMetric(s, r, p)
	}
	st := &metricState{RuleSession: RuleSession{s, r}, p: p, table: tableOf[metricKey](s, r), buf: make([]float64, 0, maxSamples)}
	st.watch = dataWatch{rs: &st.RuleSession, behavior: p.noData, span: p.window, what: p.name}
	return st
}

// metricState holds the windows of a metric rule.
type metricState struct {
	RuleSession
	p     *metricPlan
	watch dataWatch
	table *keyed[metricKey]
	buf   []float64
}

// metricKey is the state of one key.
type metricKey struct {
	episode
	subjects
	trace
	dataKey
	samples queue[sample] // Ascending by time.
	tally   tally         // Of the newest window.
	firing  bool
	last    int64 // Clock when the window last satisfied having.
	newest  int64
	atLeast int64 // The episode does not end before.
	settled int64 // Windows that ended up to here are not judged again.
}

// sample is a number at a time.
type sample struct {
	at    int64
	value float64
}

func (st *metricState) keys() (int, uint64)  { return st.table.held(), st.table.evicted }
func (st *metricState) step(gap int64) int64 { return st.watch.step(gap) }

func (st *metricState) next() int64 {
	if e := st.table.next(); e != nil {
		return e.due
	}
	return math.MaxInt64
}

func (st *metricState) observe(_ int, m *moment) {
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
	k.newest = max(k.newest, m.at)
	k.subjects.add(st.rule(), m)
	k.trace.add(m)
	st.watch.hear(&k.dataKey, m, e.key, k.entity(st.rule()))
	pos := k.insert(sample{m.at, v.Float()}, k.newest-st.p.window-st.lateness())
	value, window, reached := st.reached(k, m.at, pos)
	switch {
	case reached && k.firing:
		k.count, k.last = int64(max(int(k.count), len(window))), m.now
	case reached:
		st.begin(e, m, value, window)
	case k.firing && st.watch.waits() && len(window) < st.p.least:
		// What comes again has to say something first.
	case k.firing && m.at == k.newest && m.now >= max(k.last+st.keepFiring(), k.atLeast):
		why := fmt.Sprintf("%s is %s now", st.p.what(), decimal(value))
		if len(window) < st.p.least {
			why = "the window has only " + plural(int64(len(window)), "event") + " left"
		}
		st.resolve(e, m.now, k.newest, why, m.e)
	case st.near() != nil && !k.firing:
		st.p.missed(&st.RuleSession, e.key, m.at, value, len(window))
	}
	st.schedule(e)
}

// insert adds a sample in order of time, forgets those up to a limit, and
// returns the place of the new one.
func (k *metricKey) insert(s sample, limit int64) int {
	samples := k.samples.list()
	n := max(len(samples)+1-maxSamples, 0)
	for n < len(samples) && samples[n].at <= limit {
		n++
	}
	k.samples.drop(n)
	k.tally.dropped(n)
	samples = samples[n:]
	i := len(samples)
	for i > 0 && samples[i-1].at > s.at {
		i--
	}
	k.samples.insert(i, s)
	return i
}

// reached looks at the windows that the new sample is in, each ending at a
// sample, and returns the first that satisfies having, else the last.
func (st *metricState) reached(k *metricKey, at int64, pos int) (value float64, window []sample, ok bool) {
	samples := k.samples.list()
	if pos == len(samples)-1 {
		k.tally.advance(&st.p.tally, samples, st.p.window)
		if window = samples[k.tally.from:]; !k.firing && st.near() == nil && (len(window) < st.p.least || !k.tally.may(&st.p.tally, len(window))) {
			return 0, window, false
		}
	} else {
		k.tally.known = false
	}
	start := 0
	for j := pos; j < len(samples) && samples[j].at-at < st.p.window; j++ {
		if j+1 < len(samples) && samples[j+1].at == samples[j].at || !k.firing && samples[j].at <= k.settled {
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
func (st *metricState) begin(e *entry[metricKey], m *moment, value float64, window []sample) {
	k := &e.data
	// The windows of two episodes may have the first event in common, not the last.
	end := window[len(window)-1].at
	k.episode = st.newEpisode(e.key, end, "")
	k.count, k.firing, k.last, k.atLeast = int64(len(window)), true, m.now, m.now+st.suppress()
	agent := k.entity(st.rule())
	st.raise(&k.episode, &alert{
		at: m.now, end: max(m.at, k.newest), status: "firing", key: e.key, entity: agent, source: m.e, hosts: k.names(),
		reason:   st.p.reason(subject(agent, e.key), value, k.count),
		evidence: append(append(st.p.evidence(value, window, m), st.before(k, window[0].at)...), k.trace.evidence(window[0].at, end, k.count)...),
	})
}

// reason says in a sentence what was measured.
func (p *metricPlan) reason(who string, value float64, events int64) string {
	return fmt.Sprintf("%s: %s over %s is %s in %s (threshold: %s)", who, p.what(), p.windows.phrase(), decimal(value),
		plural(events, "event"), p.having.String())
}

// evidence shows what was measured.
func (p *metricPlan) evidence(value float64, window []sample, m *moment) []pair {
	low := slices.MinFunc(window, func(a, b sample) int { return cmp.Compare(a.value, b.value) }).value
	high := slices.MaxFunc(window, func(a, b sample) int { return cmp.Compare(a.value, b.value) }).value
	list := append(append(clauses(p.x, m), text("field", p.name), text("function", p.function)), p.windows.evidence()...)
	list = append(list, text("window_start", timeText(window[0].at)))
	return append(list, text("threshold", p.having.String()), floating("value", value), floating("min", low), floating("max", high),
		number("events", int64(len(window))))
}

func floating(name string, f float64) pair {
	return pair{name, string(event.AppendFloat(nil, f))}
}

// resolve ends an episode; what happened up to settled begins no other.
func (st *metricState) resolve(e *entry[metricKey], at, settled int64, why string, source *event.Event) {
	k := &e.data
	k.firing, k.settled = false, settled
	agent := k.entity(st.rule())
	st.raise(&k.episode, &alert{
		at: at, end: k.newest, status: "resolved", key: e.key, entity: agent, source: source, hosts: k.names(),
		reason:   fmt.Sprintf("%s no longer satisfies %s: %s", subject(agent, e.key), st.p.having.String(), why),
		evidence: []pair{text("field", st.p.name), text("function", st.p.function), text("threshold", st.p.having.String())},
	})
	k.hosts = nil
}

// schedule sets the timer to the end of the window.
func (st *metricState) schedule(e *entry[metricKey]) {
	due := st.ends(&e.data)
	if due == math.MaxInt64 {
		return
	}
	due = max(due, st.now()+1)
	if !e.timed() || due < e.due {
		st.table.wake(e, due)
		st.wakeAt(due)
	}
}

// ends is when the window is empty, or the key of no use.
func (st *metricState) ends(k *metricKey) int64 {
	own := max(k.newest+st.p.window, k.settled) + st.lateness()
	if k.firing {
		own = max(k.newest+st.p.window, k.last+st.keepFiring(), k.atLeast)
	}
	return st.watch.ends(&k.dataKey, k.firing, own)
}

// fire ends an episode or forgets a key.
func (st *metricState) fire(due int64) {
	e := st.table.next()
	k := &e.data
	if at := st.ends(k); at > due {
		st.table.wake(e, 0)
		st.schedule(e)
		return
	}
	if st.watch.miss(&k.dataKey, due, e.key, k.entity(st.rule())) {
		st.table.wake(e, 0)
		return
	}
	if !k.firing {
		st.table.remove(e)
		return
	}
	st.table.wake(e, 0)
	st.resolve(e, due, due-1, "nothing came within "+duration(st.p.window), nil)
	st.schedule(e)
}
