package rules

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// Threshold is the kind of rule that counts events.
func Threshold() Kind {
	return Kind{
		Name: "threshold",
		New:  func() declaration { return newThresholdRule() },
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
	Header     `yaml:",inline"`
	windowKeys `yaml:",inline"`
	Condition  strict.Text   `yaml:"condition,required"`
	Having     having        `yaml:"having,required"`
	Debounce   time.Duration `yaml:"debounce"` // Events closer than this to one that was counted are the same occurrence.
	NoData     string        `yaml:"no_data"`  // none, or keep: while nothing at all comes from the agent.
}

// having bounds a count, as in a Sigma correlation. All given bounds hold.
type having struct {
	GT  *int64 `yaml:"gt"`
	GTE *int64 `yaml:"gte"`
	LT  *int64 `yaml:"lt"`
	LTE *int64 `yaml:"lte"`
	EQ  *int64 `yaml:"eq"`
}

// limits returns the bounds as an inclusive range.
func (h *having) limits() (low, high int64) {
	low, high = 1, math.MaxInt64
	if h.GT != nil {
		low = max(low, *h.GT+1)
	}
	if h.GTE != nil {
		low = max(low, *h.GTE)
	}
	if h.LT != nil {
		high = min(high, *h.LT-1)
	}
	if h.LTE != nil {
		high = min(high, *h.LTE)
	}
	if h.EQ != nil {
		low, high = max(low, *h.EQ), min(high, *h.EQ)
	}
	return low, high
}

// String writes the bounds as a rule file's reader says them.
func (h *having) String() string {
	var parts []string
	for _, b := range []struct {
		sign  string
		bound *int64
	}{{">", h.GT}, {">=", h.GTE}, {"<", h.LT}, {"<=", h.LTE}, {"==", h.EQ}} {
		if b.bound != nil {
			parts = append(parts, fmt.Sprintf("%s %d", b.sign, *b.bound))
		}
	}
	return strings.Join(parts, " and ")
}

// maxCount bounds what a threshold may ask for: the times of that many events
// are kept for each key.
const maxCount = 10_000

func newThresholdRule() *thresholdRule {
	return &thresholdRule{Header: defaultHeader(), windowKeys: windowKeys{Kind: "sliding"}, NoData: noDataNone}
}

func (d *thresholdRule) header() *Header { return &d.Header }

func (d *thresholdRule) check(c *checker) {
	d.windowKeys.check(c)
	checkKeep(c, &d.Header, d.NoData)
	c.positive("debounce", d.Debounce, true)
	if d.Debounce >= d.Window && d.Window > 0 {
		c.problem("debounce", "debounce is not shorter than window, so that nothing could ever be counted twice", "")
	}
	low, high := d.Having.limits()
	switch {
	case d.Having.GT == nil && d.Having.GTE == nil && d.Having.EQ == nil:
		c.problem("having", "having needs gt, gte or eq: a count can only be noticed when an event raises it",
			"for events that stop coming there is type: silence")
	case low > high:
		c.problem("having", fmt.Sprintf("no count satisfies %s", d.Having.String()), "")
	case low > maxCount:
		c.problem("having", fmt.Sprintf("a count of %d is more than %d", low, maxCount), "count a rarer event or take a smaller window")
	}
}

func (d *thresholdRule) compile(c *compiler) plan {
	x := c.condition(d.Condition)
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

func (p *thresholdPlan) hooks() []hook          { return []hook{hookOf(0, "condition", p.x)} }
func (p *thresholdPlan) horizon() time.Duration { return time.Duration(p.window) }

// room is how many times a key keeps. Before an alert a window has fewer than
// the threshold, so that all that a late event could be counted with fit in;
// while it fires the latest decide when it ends.
func (p *thresholdPlan) room(firing bool, lateness int64) int {
	if firing {
		return int(max(2*p.low, 64))
	}
	return int(min(max(p.low*(lateness/p.window+2), 64), 8*maxCount))
}

// traits: an episode that is kept firing depends on when events come.
func (p *thresholdPlan) traits() traits { return traits{orderless: !p.kept} }

func (p *thresholdPlan) newState(s *Session, r *Rule) state {
	if !p.windows.sliding {
		return newBucketState(s, r, counted{
			windowPlan: p.windows, x: p.x, having: p.having, low: p.low, high: p.high, noun: "matching event", debounce: p.debounce,
			keep: p.keep,
		})
	}
	return &thresholdState{RuleSession: RuleSession{s, r}, p: p, table: tableOf[thresholdKey](s, r)}
}

// thresholdState holds the windows of a threshold rule.
type thresholdState struct {
	RuleSession
	p     *thresholdPlan
	table *keyed[thresholdKey]
}

// thresholdKey is the state of one key.
type thresholdKey struct {
	episode
	subjects
	trace
	times   queue[int64] // Of the latest events, ascending.
	firing  bool
	newest  int64 // Latest event time counted.
	atLeast int64 // The episode does not end before.
	settled int64 // When the last episode ended: windows up to here are not judged again.
}

func (st *thresholdState) keys() (int, uint64) { return st.table.held(), st.table.evicted }

func (st *thresholdState) next() int64 {
	if e := st.table.next(); e != nil {
		return e.due
	}
	return math.MaxInt64
}

func (st *thresholdState) observe(_ int, m *moment) {
	if m.late {
		st.countLate()
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
	timed := k.firing // The end of an episode only moves away: its timer finds out, and where no_data has put it off it stays.
	k.subjects.add(st.rule(), m)
	if k.near(m.at, st.p.debounce) {
		return
	}
	k.trace.add(m)
	pos := k.insert(m.at, st.p.room(k.firing, st.lateness()))
	spare := k.times.len()
	if k.firing { // The last ones that were enough tell when the episode ends.
		spare -= int(st.p.low)
	}
	k.prune(k.newest-st.p.window-st.lateness(), spare)
	if k.firing {
		k.count++
		st.sustain(k, k.times.len()-pos)
	} else if first, count, ok := st.crossing(k, m.at, pos); ok {
		st.begin(e, m, first, count)
		st.sustain(k, k.times.len()-pos)
	} else if st.near() != nil {
		st.missed(e, m)
	}
	if !timed {
		st.schedule(e)
	}
}

// near reports whether a counted event is closer than a span.
func (k *thresholdKey) near(at, span int64) bool {
	times := k.times.list()
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
	times := k.times.list()
	i := len(times)
	for i > 0 && times[i-1] > at {
		i--
	}
	fromEnd = len(times) + 1 - i
	k.times.insert(i, at)
	k.times.drop(max(k.times.len()-room, 0))
	return fromEnd
}

// prune forgets times up to a limit, and no more than are spare.
func (k *thresholdKey) prune(limit int64, spare int) {
	times := k.times.list()
	n := 0
	for n < min(len(times), spare) && times[n] <= limit {
		n++
	}
	k.times.drop(n)
}

// crossing looks at the windows that the new event is in, each ending at an
// event, and returns the first whose count satisfies the threshold. A window
// holds the events of (end - window, end]. What ended before the last episode
// did is not looked at again: a late event is no new storm.
func (st *thresholdState) crossing(k *thresholdKey, at int64, fromEnd int) (first, count int64, ok bool) {
	times := k.times.list()
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
func (st *thresholdState) begin(e *entry[thresholdKey], m *moment, first, count int64) {
	k := &e.data
	k.episode = st.newEpisode(e.key, first, "")
	k.count, k.firing, k.atLeast = count, true, m.now+st.suppress()
	evidence := append(clauses(st.p.x, m), st.p.windows.evidence()...)
	evidence = append(evidence, text("threshold", st.p.having), number("value", count))
	evidence = append(evidence, k.before(first, st.p.window)...)
	agent := k.entity(st.rule())
	st.raise(&k.episode, &alert{
		at: m.now, end: max(m.at, k.newest), status: "firing", key: e.key, entity: agent, source: m.e, hosts: k.names(),
		reason: fmt.Sprintf("%s had %s within %s (threshold: %s in %s)", subject(agent, e.key), plural(count, "matching event"),
			duration(m.at-first), st.p.having, duration(st.p.window)),
		evidence: append(evidence, k.trace.evidence(first, first+st.p.window-1, count)...),
	})
}

// sustain puts the end of an episode off to when the latest window that has
// enough, of those that hold a new event and the newest, has no longer.
func (st *thresholdState) sustain(k *thresholdKey, fresh int) {
	times, low := k.times.list(), int(st.p.low)
	for _, latest := range [2]int{len(times) - low, min(fresh, len(times)-low)} {
		for first := latest; first >= max(0, min(latest, fresh-low+1)); first-- {
			if times[first+low-1]-times[first] < st.p.window {
				k.atLeast = max(k.atLeast, times[first]+st.p.window+st.keepFiring())
				break
			}
		}
	}
}

// schedule sets the timer to the end of the episode or of the key. A timer
// that runs out earlier is left: fire finds that it is not time yet.
func (st *thresholdState) schedule(e *entry[thresholdKey]) {
	due := max(st.ends(&e.data), st.now()+1)
	if !e.timed() || due < e.due {
		st.table.wake(e, due)
		st.wakeAt(due)
	}
}

// ends is when the threshold is no longer reached, or the key is empty.
func (st *thresholdState) ends(k *thresholdKey) int64 {
	if k.firing {
		return k.atLeast
	}
	return max(k.newest+st.p.window, k.settled) + st.lateness()
}

// fire ends an episode or forgets a key.
func (st *thresholdState) fire(due int64) {
	e := st.table.next()
	k := &e.data
	if at := st.ends(k); at > due {
		st.table.wake(e, at)
		st.wakeAt(at)
		return
	}
	if !k.firing {
		st.table.remove(e)
		return
	}
	if st.p.keep && st.unheard(k.agent, due, st.p.window) {
		st.table.wake(e, due+st.p.window) // Who is silent has not recovered.
		st.wakeAt(e.due)
		return
	}
	st.table.wake(e, 0)
	k.firing, k.settled = false, due-1 // A window that ends when the episode does may begin the next.
	agent := k.entity(st.rule())
	st.raise(&k.episode, &alert{
		at: due, end: k.newest, status: "resolved", key: e.key, entity: agent, hosts: k.names(),
		reason: fmt.Sprintf("%s is below the threshold again; %s since %s", subject(agent, e.key), plural(k.count, "matching event"),
			timeText(k.start)),
		evidence: append(st.p.windows.evidence(), text("threshold", st.p.having), number("value", k.count)),
	})
	k.hosts = nil
	st.schedule(e)
}
