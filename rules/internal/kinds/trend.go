package kinds

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"
	"unsafe"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/table"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// Trend is the kind of rule that bounds the slope of a field over hours.
func Trend() engine.Kind {
	return engine.Kind{
		Name:    "trend",
		Meaning: "the slope of a field over hours satisfies having",
		New: func() engine.Declaration {
			return &trendRule{Header: spec.DefaultHeader(), MinCoverage: 0.5}
		},
		Keys: map[string]string{
			"field":        "The field of numbers whose slope is measured.",
			"window":       "How far back the slope is measured, from 10m to 2d.",
			"having":       "Bounds on the slope, in units of the field an hour: gt, gte, lt, lte.",
			"min_span":     "Time from the first to the last value below which there is no slope; half of window without it.",
			"min_coverage": "Share of the time between them in which values have to have come, from 0 to 1.",
			"min_change":   "Change over the span, as a share of the usual value, below which the slope does not count; 0.15 is 15 %.",
		},
		Scaffold: `condition: event.action == "resource-usage"
field: edr.resource.memory_bytes
window: 8h
min_span: 4h
min_change: 0.15
having: {gte: 40000000}
tests:
  - name: a leak
    events:
      - {at: +0h, repeat: {count: 12, every: 5m}, set: {event.action: resource-usage, agent.id: a1, edr.resource.memory_bytes: 500000000}}
      - {at: +1h, repeat: {count: 12, every: 5m}, set: {event.action: resource-usage, agent.id: a1, edr.resource.memory_bytes: 560000000}}
      - {at: +2h, repeat: {count: 12, every: 5m}, set: {event.action: resource-usage, agent.id: a1, edr.resource.memory_bytes: 620000000}}
      - {at: +3h, repeat: {count: 12, every: 5m}, set: {event.action: resource-usage, agent.id: a1, edr.resource.memory_bytes: 680000000}}
      - {at: +4h, repeat: {count: 12, every: 5m}, set: {event.action: resource-usage, agent.id: a1, edr.resource.memory_bytes: 740000000}}
    expect: [{by: +6h, alerts: 1}]
  - name: level
    events: [{at: +0h, repeat: {count: 120, every: 5m}, set: {event.action: resource-usage, agent.id: a1, edr.resource.memory_bytes: 500000000}}]
    expect: [{by: +12h, alerts: 0}]
`,
	}
}

// trendRule alerts when the slope of a numeric field of a key satisfies having.
//
// The window is cut into slots; of each the median is kept, and the slope is the
// median of the slopes between any two of them (Theil: "A rank-invariant method
// of linear and polynomial regression analysis", 1950; Sen, 1968): nearly three
// of ten slots may hold anything without moving it.
type trendRule struct {
	spec.Header `yaml:",inline"`
	Condition   strict.Text   `yaml:"condition,required"`
	Field       string        `yaml:"field,required"`
	Window      time.Duration `yaml:"window,required"`
	Having      bounds        `yaml:"having,required"`
	MinSpan     time.Duration `yaml:"min_span"`
	MinCoverage float64       `yaml:"min_coverage"`
	MinChange   float64       `yaml:"min_change"`
}

// Bounds of a trend rule, and what is kept of a key.
const (
	trendSlots   = 48 // Medians: a window of 8h has one for every ten minutes.
	trendSample  = 5  // Values of a slot that is not over, of which the median is taken.
	trendLeast   = 6  // Medians below which there is no slope.
	trendMinimum = 10 * time.Minute
	trendMaximum = 48 * time.Hour
)

func (d *trendRule) Check(c *spec.Checker) {
	if d.Window < trendMinimum || d.Window > trendMaximum {
		c.Problem("window", fmt.Sprintf("window is %s, expected %s to %s", strict.FormatDuration(d.Window), strict.FormatDuration(trendMinimum),
			strict.FormatDuration(trendMaximum)), "")
	}
	if d.MinSpan < 0 || d.MinSpan > d.Window*(trendSlots-2)/trendSlots {
		c.Problem("min_span", fmt.Sprintf("min_span is %s, expected less than window, which is %s", strict.FormatDuration(d.MinSpan), strict.FormatDuration(d.Window)), "")
	}
	if !(d.MinCoverage >= 0 && d.MinCoverage <= 1) {
		c.Problem("min_coverage", fmt.Sprintf("min_coverage is %v, expected 0 to 1", d.MinCoverage), "")
	}
	if !(d.MinChange >= 0) || math.IsInf(d.MinChange, 0) {
		c.Problem("min_change", fmt.Sprintf("min_change is %v, expected a share such as 0.15", d.MinChange), "")
	}
	if d.Having.String() == "" {
		c.Problem("having", "having needs gt, gte, lt or lte", "in units of the field an hour")
	} else if d.Having.hold(0) {
		c.Problem("having", fmt.Sprintf("a field that does not change satisfies %s", d.Having.String()), "ask for a slope above or below 0")
	}
}

func (d *trendRule) Compile(c *engine.Compiler) engine.Plan {
	p := &trendPlan{
		x: c.Condition(d.Condition), name: d.Field, window: int64(d.Window), width: int64(d.Window) / trendSlots, having: d.Having,
		span: int64(d.MinSpan), coverage: d.MinCoverage, change: d.MinChange,
	}
	if p.span == 0 {
		p.span = p.window / 2
	}
	p.field = c.NumericField("field", d.Field)
	if p.x == nil {
		return nil
	}
	return p
}

// trendPlan is a compiled trend rule.
type trendPlan struct {
	x                *expression.Expression
	field            ecs.ID
	name             string
	window, width    int64
	having           bounds
	span             int64
	coverage, change float64
}

func (p *trendPlan) Horizon() time.Duration { return time.Duration(p.window + p.width) }

func (p *trendPlan) Hooks() []engine.Hook {
	h := engine.NewHook(0, "condition", p.x)
	h.Alternatives = withPresence(h.Alternatives, p.field)
	return []engine.Hook{h}
}

// Traits: a slot is judged when no event can join it any more, whenever its
// events came.
func (p *trendPlan) Traits() engine.Traits { return engine.Traits{Copies: true, Orderless: true} }

func (p *trendPlan) NewState(s *engine.Session, r *engine.Rule) engine.State {
	return &trendState{
		RuleSession: engine.NewRuleSession(s, r), p: p, table: engine.NewTable[trendKey](s, r), slopes: make([]float64, 0, trendSlots*(trendSlots-1)/2),
	}
}

// trendState holds the medians of a trend rule.
type trendState struct {
	engine.RuleSession
	p      *trendPlan
	table  *table.Keyed[trendKey]
	slopes []float64 // Room to measure in.
}

// trendKey is the state of one key: 500 bytes, and 100 for each slot that is
// not over.
type trendKey struct {
	engine.Episode
	subjects
	medians []float64 // By number of the slot, modulo their number.
	present uint64    // Bit i: the slot i before newest has a median.
	newest  int64     // The last slot that is over.
	open    []trendSlot
	last    int64 // Clock when having was satisfied last.
	atLeast int64 // The episode does not end before.
}

// trendSlot is a slot that events can still join. Which of its values are kept
// does not depend on the order in which they come.
type trendSlot struct {
	number int64
	n      int32
	sample [trendSample]sampled
}

// sampled is a value at a time.
type sampled struct {
	at    int64
	value float64
}

func (st *trendState) KeyCount() (int, uint64) { return st.table.Held(), st.table.Evicted }

func (st *trendState) Next() int64 {
	if e := st.table.Next(); e != nil {
		return e.Due
	}
	return math.MaxInt64
}

func (st *trendState) Observe(_ int, m *engine.Evaluation) {
	if m.Late {
		st.CountLate()
		return
	}
	v := m.Event.Get(st.p.field)
	if v == nil || math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0) {
		return
	}
	key, ok := st.GroupKey(m)
	if !ok {
		return
	}
	st.Mark(m)
	e, created := st.table.Obtain(key)
	k := &e.Data
	k.subjects.add(st.Rule(), m)
	number := m.At / st.p.width
	if created {
		k.medians = make([]float64, trendSlots)
		k.newest = number - 1 - st.Lateness()/st.p.width // Earlier ones may come late.
	}
	if number <= k.newest {
		return // It was judged without.
	}
	k.slot(number).add(sampled{m.At, v.Float()})
	st.schedule(e)
}

// slot returns an open slot, and makes it if need be.
func (k *trendKey) slot(number int64) *trendSlot {
	i := len(k.open)
	for i > 0 && k.open[i-1].number >= number {
		i--
	}
	if i == len(k.open) || k.open[i].number != number {
		k.open = slices.Insert(k.open, i, trendSlot{number: number})
	}
	return &k.open[i]
}

// add takes a value in, and keeps those whose times have the least hashes. A
// value that is there already came twice.
func (s *trendSlot) add(v sampled) {
	place := int(s.n)
	for i := range s.n {
		if s.sample[i] == v {
			return
		}
	}
	if place == trendSample {
		place = 0
		for i := range s.sample {
			if s.sample[place].before(s.sample[i]) {
				place = i
			}
		}
		if s.sample[place].before(v) {
			return
		}
	} else {
		s.n++
	}
	s.sample[place] = v
}

// before orders values by a hash of their times, then by value.
func (v sampled) before(w sampled) bool {
	a, b := mix(v.at), mix(w.at)
	return a < b || a == b && v.value < w.value
}

// mix is the finalizer of splitmix64.
func mix(at int64) uint64 {
	x := uint64(at)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// median is that of the values that are kept.
func (s *trendSlot) median() float64 {
	var values [trendSample]float64
	for i := range s.n {
		values[i] = s.sample[i].value
	}
	slices.Sort(values[:s.n])
	middle := s.n / 2
	if s.n%2 == 0 {
		return values[middle-1]/2 + values[middle]/2
	}
	return values[middle]
}

// due is when the next slot of a key is over for events that come late, too; of
// a key without open slots, when its last median leaves the window.
func (st *trendState) due(k *trendKey) int64 {
	number := k.newest - int64(bits.TrailingZeros64(k.present)) + trendSlots
	if len(k.open) > 0 {
		number = k.open[0].number
	}
	return (number+1)*st.p.width + st.Lateness()
}

func (st *trendState) schedule(e *table.Entry[trendKey]) {
	due := max(st.due(&e.Data), st.Now()+1)
	if !e.Timed() || due < e.Due {
		st.table.Wake(e, due)
		st.WakeAt(due)
	}
}

// Fire closes a slot and judges the key, or forgets one that was not heard for a
// window.
func (st *trendState) Fire(due int64) {
	e := st.table.Next()
	k := &e.Data
	st.table.Wake(e, 0)
	switch {
	case st.due(k) > due:
	case len(k.open) > 0:
		k.closeSlot()
		st.judge(e, due)
	default:
		if k.Firing() {
			st.resolve(e, due, "nothing came within "+wording.Duration(st.p.window))
		}
		st.table.Remove(e)
		return
	}
	st.schedule(e)
}

// closeSlot puts the median of the first open slot into the window.
func (k *trendKey) closeSlot() {
	s := &k.open[0]
	if ahead := s.number - k.newest; ahead < 64 {
		k.present <<= ahead
	} else {
		k.present = 0
	}
	k.present = (k.present | 1) & (1<<trendSlots - 1)
	k.newest = s.number
	k.medians[s.number%trendSlots] = s.median()
	k.open = slices.Delete(k.open, 0, 1)
}

// measured is what the medians of a key say.
type measured struct {
	slope       float64 // An hour.
	level       float64 // Median of the medians.
	first, last float64
	slots       int
	span        int64
	coverage    float64
}

// change is by how much the value has changed over the span, as the slope has it.
func (f *measured) change() float64 { return f.slope * time.Duration(f.span).Hours() }

// measure computes the slope; false where there is too little to tell one.
func (st *trendState) measure(k *trendKey) (f measured, enough bool) {
	var values [trendSlots]float64
	var at [trendSlots]int
	for i := trendSlots - 1; i >= 0; i-- {
		if k.present&(1<<i) != 0 {
			values[f.slots], at[f.slots] = k.medians[(k.newest-int64(i))%trendSlots], -i
			f.slots++
		}
	}
	if f.slots == 0 {
		return f, false
	}
	slots := at[f.slots-1] - at[0] + 1
	f.span, f.coverage = int64(slots-1)*st.p.width, float64(f.slots)/float64(slots)
	f.first, f.last = values[0], values[f.slots-1]
	if f.slots < trendLeast || f.span < st.p.span || f.coverage < st.p.coverage {
		return f, false
	}
	st.slopes = st.slopes[:0]
	for i := range f.slots {
		for j := range i {
			st.slopes = append(st.slopes, (values[i]-values[j])/float64(at[i]-at[j]))
		}
	}
	f.slope = middle(st.slopes) * (float64(time.Hour) / float64(st.p.width))
	f.level = middle(values[:f.slots])
	return f, true
}

// middle is the median of values, which it reorders.
func middle(values []float64) float64 {
	n := len(values) / 2
	upper := nth(values, n)
	if len(values)%2 == 0 {
		return nth(values, n-1)/2 + upper/2
	}
	return upper
}

// satisfied reports whether the slope is one that the rule is about.
func (p *trendPlan) satisfied(f *measured) bool {
	return p.having.hold(f.slope) && math.Abs(f.change()) >= p.change*math.Abs(f.level)
}

// judge looks at the slope when a slot is over.
func (st *trendState) judge(e *table.Entry[trendKey], now int64) {
	k := &e.Data
	f, enough := st.measure(k)
	switch {
	case !enough: // What is open ends with the window, or when more has come.
	case st.p.satisfied(&f):
		if k.last = now; k.Firing() {
			k.Count++
			return
		}
		st.begin(e, &f, now)
		return
	case k.Firing() && now >= max(k.last+st.KeepFiring(), k.atLeast):
		st.resolve(e, now, fmt.Sprintf("it changes by %s an hour now", wording.Decimal(f.slope)))
		return
	}
	if !k.Firing() && st.NearMisses() != nil {
		st.missed(e.Key, k, &f, enough)
	}
}

// begin raises the alert of a key.
func (st *trendState) begin(e *table.Entry[trendKey], f *measured, now int64) {
	k := &e.Data
	// The windows of two episodes may have the first slot in common, not the last.
	end := (k.newest + 1) * st.p.width
	k.Episode = st.NewEpisode(e.Key, end, "")
	k.Count, k.atLeast = 1, now+st.Suppress()
	agent := k.entity(st.Rule())
	st.Raise(&k.Episode, &engine.Alert{
		At: now, End: end, Status: "firing", Key: e.Key, Entity: agent, Hosts: k.names(),
		Reason: fmt.Sprintf("%s: %s changes by %s an hour over %s (threshold: %s an hour): from %s to %s", engine.Subject(agent, e.Key), st.p.name,
			wording.Decimal(f.slope), wording.Duration(f.span), st.p.having.String(), wording.Decimal(f.first), wording.Decimal(f.last)),
		Evidence: append(engine.Clauses(st.p.x, nil), []engine.Evidence{
			engine.Text("field", st.p.name), engine.Text("window", wording.Duration(st.p.window)), engine.Text("threshold", st.p.having.String()),
			engine.Float("value", f.slope), engine.Text("unit", "per hour"), engine.Float("change", f.change()), engine.Float("level", f.level),
			engine.Float("first", f.first), engine.Float("last", f.last), engine.Text("span", wording.Duration(f.span)),
			engine.Float("coverage", math.Round(1000*f.coverage)/1000), engine.Number("slots", int64(f.slots)),
		}...),
	})
}

// resolve ends the alert of a key.
func (st *trendState) resolve(e *table.Entry[trendKey], now int64, why string) {
	k := &e.Data
	k.Resolve()
	agent := k.entity(st.Rule())
	st.Raise(&k.Episode, &engine.Alert{
		At: now, End: (k.newest + 1) * st.p.width, Status: "resolved", Key: e.Key, Entity: agent, Hosts: k.names(),
		Reason:   fmt.Sprintf("%s: %s no longer changes as fast: %s", engine.Subject(agent, e.Key), st.p.name, why),
		Evidence: []engine.Evidence{engine.Text("field", st.p.name), engine.Text("threshold", st.p.having.String())},
	})
	k.hosts = nil
}

// missed offers a slope that is not what having asks for, or too little to tell
// one.
func (st *trendState) missed(key string, k *trendKey, f *measured, enough bool) {
	miss := engine.NearMiss{Rule: st.Rule(), Stage: engine.MissedBound, Key: key, At: (k.newest + 1) * st.p.width}
	had := fmt.Sprintf("had %s that changed by %s an hour over %s", st.p.name, wording.Decimal(f.slope), wording.Duration(f.span))
	switch {
	case !enough && f.coverage < st.p.coverage:
		miss.Measure, miss.Value, miss.Bound = "coverage", f.coverage, st.p.coverage
		miss.Nearness = f.coverage / st.p.coverage / 2
		miss.Reason = fmt.Sprintf("had values in %.3g %% of %s; the rule asks for %.3g %% (min_coverage)", 100*f.coverage, wording.Duration(f.span), 100*st.p.coverage)
	case !enough:
		miss.Measure, miss.Value, miss.Bound = "seconds", wording.Seconds(f.span), wording.Seconds(st.p.span)
		miss.Nearness = float64(f.span) / float64(max(st.p.span, 1)) / 2
		miss.Reason = fmt.Sprintf("had values over %s, in %d stretches of %s; the rule asks for %s (min_span) and %d", wording.Duration(f.span), f.slots,
			wording.Duration(st.p.width), wording.Duration(st.p.span), trendLeast)
	case !st.p.having.hold(f.slope):
		miss.Measure, miss.Value, miss.Bound = "slope an hour", f.slope, st.p.having.nearest(f.slope)
		miss.Nearness = 0.5 + st.p.having.nearness(f.slope)/2
		miss.Reason = fmt.Sprintf("%s; the rule asks for %s", had, st.p.having.String())
	default:
		miss.Measure, miss.Value, miss.Bound = "change", math.Abs(f.change()), st.p.change*math.Abs(f.level)
		miss.Nearness = 0.5 + miss.Value/miss.Bound/2
		miss.Reason = fmt.Sprintf("%s, by %s in all; the rule asks for %s, %.3g %% of its usual %s (min_change)", had, wording.Decimal(miss.Value),
			wording.Decimal(miss.Bound), 100*st.p.change, wording.Decimal(f.level))
	}
	st.NearMisses().Offer(miss)
}

// Weight is the bytes that the key refers to.
func (k *trendKey) Weight() int {
	return k.Episode.Weight() + k.subjects.Weight() + table.Allocated(8*len(k.medians)) + table.Grown(len(k.open), int(unsafe.Sizeof(trendSlot{})))
}

// OpenAlerts calls end for the alert of the key.
func (k *trendKey) OpenAlerts(end func(engine.OpenAlert), key string, r *engine.Rule) {
	k.openOf(&k.Episode, end, key, r)
}

func (st *trendState) OpenAlerts(end func(engine.OpenAlert)) {
	engine.OpenAlertsIn(st.table, st.Rule(), end)
}

func (st *trendState) Persist(a *engine.Archive) {
	engine.PersistTable(a, st.table, func(e *table.Entry[trendKey]) {
		k := &e.Data
		k.Episode.Persist(a)
		k.Episode.PersistFiring(a)
		k.subjects.persist(a)
		if a.Reading() {
			k.medians = make([]float64, trendSlots)
		}
		for _, n := range []*int64{&k.newest, &k.last, &k.atLeast} {
			snapshot.Int(a.Codec, n)
		}
		a.Fixed(&k.present)
		if k.newest < 0 || k.present >= 1<<trendSlots {
			a.Fail("slot %d lies outside of the window", k.newest)
			return
		}
		for i := range int64(trendSlots) {
			if k.present&(1<<i) != 0 && k.newest >= i {
				a.Float(&k.medians[(k.newest-i)%trendSlots])
			}
		}
		snapshot.List(a.Codec, &k.open, func(s *trendSlot) {
			snapshot.Int(a.Codec, &s.number)
			if snapshot.Int(a.Codec, &s.n); s.n < 1 || s.n > trendSample || s.number <= k.newest {
				a.Fail("an open slot has %d values, or lies in the past", s.n)
				return
			}
			for i := range s.n {
				a.Time(&s.sample[i].at)
				a.Float(&s.sample[i].value)
			}
		})
		if a.Reading() && !slices.IsSortedFunc(k.open, func(x, y trendSlot) int { return int(x.number - y.number) }) {
			a.Fail("slots are not in order of time")
		}
	})
}
