package kinds

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/table"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// Spike is the kind of rule that compares a count with its own past.
func Spike() engine.Kind {
	return engine.Kind{
		Name:    "spike",
		Meaning: "the number of events is a multiple, or a fraction, of its own past",
		New:     func() engine.Declaration { return newSpikeRule() },
		Keys: map[string]string{
			"window":      "Length of the windows, which are tumbling and aligned to 1970.",
			"history":     "Windows of the past that are compared with.",
			"min_history": "As many of them have to be known at least.",
			"times":       "The multiple of the past that alerts, or with direction: down the fraction.",
			"direction":   "up or down.",
			"min_events":  "Fewer events (down: in the past) say nothing.",
			"host":        "up: with direction: down, only while other records of the host come.",
		},
		Words: map[string][]string{"direction": {"up", "down"}, "host": {"up"}},
		Scaffold: `condition: event.action == "error"
window: 10m
history: 6
min_history: 3
times: 4
min_events: 20
tests:
  - name: a burst
    events:
      - {at: +0m, repeat: {count: 60, every: 1m}, set: {event.action: error, agent.id: a1}}
      - {at: +61m, repeat: {count: 60, every: 1s}, set: {event.action: error, agent.id: a1}}
    expect: [{by: +63m, alerts: 1}]
  - name: as always
    events: [{at: +0m, repeat: {count: 180, every: 1m}, set: {event.action: error, agent.id: a1}}]
    expect: [{by: +4h, alerts: 0}]
`,
	}
}

// spikeRule alerts when the number of matching events of a key in a window of
// the clock is a multiple, or a fraction, of the key's own past.
type spikeRule struct {
	spec.Header `yaml:",inline"`
	Condition   strict.Text   `yaml:"condition,required"`
	Window      time.Duration `yaml:"window,required"` // Windows are tumbling, aligned to 1970.
	History     int           `yaml:"history"`         // Windows of the past.
	Known       int           `yaml:"min_history"`     // As many have to be known at least.
	Times       float64       `yaml:"times,required"`
	Direction   string        `yaml:"direction"` // up or down.
	MinEvents   int64         `yaml:"min_events"`
	Host        string        `yaml:"host"` // up: with direction down, only while other records of the host come.
}

// maxHistory bounds the past that is kept of a key.
const maxHistory = 64

func newSpikeRule() *spikeRule {
	return &spikeRule{Header: spec.DefaultHeader(), History: 12, Known: 4, Direction: "up", MinEvents: 10}
}

func (d *spikeRule) Check(c *spec.Checker) {
	c.Positive("window", d.Window, false)
	c.OneOf("direction", d.Direction, []string{"up", "down"})
	if d.History < 1 || d.History > maxHistory {
		c.Problem("history", fmt.Sprintf("history is %d windows, expected 1 to %d", d.History, maxHistory), "")
	}
	if d.Known < 1 || d.Known > d.History {
		c.Problem("min_history", fmt.Sprintf("min_history is %d windows, expected 1 to history, which is %d", d.Known, d.History), "")
	}
	if !(d.Times > 1) || math.IsInf(d.Times, 0) {
		c.Problem("times", fmt.Sprintf("times is %v, expected more than 1", d.Times), "")
	}
	if d.MinEvents < 1 {
		c.Problem("min_events", fmt.Sprintf("min_events is %d, expected 1 or more", d.MinEvents), "")
	}
	if d.Host != "" {
		c.OneOf("host", d.Host, []string{"up"})
	}
	if time.Duration(d.History+1)*d.Window > spec.MaxSpan {
		c.Problem("history", "the past is longer than "+strict.FormatDuration(spec.MaxSpan), "take fewer or smaller windows")
	}
}

func (d *spikeRule) Compile(c *engine.Compiler) engine.Plan {
	x := c.Condition(d.Condition)
	if x == nil {
		return nil
	}
	return &spikePlan{
		x: x, window: int64(d.Window), history: int64(d.History), known: int64(d.Known), times: d.Times,
		down: d.Direction == "down", least: d.MinEvents, alive: d.Host == "up",
	}
}

// spikePlan is a compiled spike rule.
type spikePlan struct {
	x              *expression.Expression
	window         int64
	history, known int64
	times          float64
	down           bool
	least          int64
	alive          bool
}

func (p *spikePlan) Hooks() []engine.Hook { return []engine.Hook{engine.NewHook(0, "condition", p.x)} }

func (p *spikePlan) Horizon() time.Duration { return time.Duration((p.history + 1) * p.window) }

func (p *spikePlan) Traits() engine.Traits {
	return engine.Traits{Endless: true, Forwards: !p.alive && !p.down}
}

func (p *spikePlan) NewState(s *engine.Session, r *engine.Rule) engine.State {
	st := &spikeState{RuleSession: engine.NewRuleSession(s, r), p: p, table: engine.NewTable[spikeKey](s, r)}
	st.slots = p.history + 2 + st.Lateness()/p.window
	st.found = newOccurrences(&st.RuleSession)
	return st
}

// spikeState holds the counts of a spike rule.
type spikeState struct {
	engine.RuleSession
	p     *spikePlan
	slots int64
	table *table.Keyed[spikeKey]
	found occurrences

	stalled int64 // The clock jumped up to here: few events before say nothing.
}

// spikeKey is the counts of one key, a ring by number of the window.
type spikeKey struct {
	subjects
	counts []uint32
	first  int64 // Window of the first event; it is not counted whole.
	newest int64 // Latest window with an event.
	judged int64 // Windows up to here were looked at for a drop.
	raised int64 // Latest window that raised a finding.
}

func (st *spikeState) KeyCount() (int, uint64) {
	return st.table.Held(), st.table.Evicted + st.found.table.Evicted
}

func (st *spikeState) Next() int64 { return earliest(st.table, st.found.table) }

func (st *spikeState) ClockJumped(gap int64) int64 {
	if !st.p.down {
		return math.MaxInt64
	}
	if gap > st.p.window/4 {
		st.stalled = st.Now() + gap
	}
	return st.p.window / 4
}

func (st *spikeState) Observe(_ int, m *engine.Evaluation) {
	if m.Late {
		st.CountLate()
		return
	}
	key, ok := st.GroupKey(m)
	if !ok {
		return
	}
	st.Mark(m)
	e, created := st.table.Obtain(key)
	k := &e.Data
	k.add(st.Rule(), m)
	w := m.At / st.p.window
	if created {
		*k = spikeKey{subjects: k.subjects, counts: make([]uint32, st.slots), first: w, newest: w, judged: w, raised: w - 1}
		st.table.Wake(e, st.closes(w+1))
		st.WakeAt(e.Due)
	}
	k.first = min(k.first, w)
	if w <= k.newest-st.slots {
		return
	}
	for ; k.newest < w; k.newest++ {
		if w-k.newest > st.slots {
			clear(k.counts)
			k.newest = w
			break
		}
		k.counts[(k.newest+1)%st.slots] = 0
	}
	k.counts[w%st.slots]++
	if !st.p.down && w > k.raised {
		st.judge(e, w, m.Now, m)
	}
}

// closes is when a window is over for events that come late, too.
func (st *spikeState) closes(w int64) int64 { return (w+1)*st.p.window + st.Lateness() }

// count returns the events of a window.
func (k *spikeKey) count(w int64) int64 {
	n := int64(len(k.counts))
	if w > k.newest || w <= k.newest-n || w < k.first {
		return 0
	}
	return int64(k.counts[w%n])
}

// past returns the average count of the windows before w and how many they
// are. The first window of the key began before its first event.
func (st *spikeState) past(k *spikeKey, w int64) (mean float64, known int64) {
	from := max(w-st.p.history, k.first+1)
	total := int64(0)
	for i := from; i < w; i++ {
		total += k.count(i)
	}
	if known = w - from; known <= 0 {
		return 0, 0
	}
	return float64(total) / float64(known), known
}

// judge compares a window with those before.
func (st *spikeState) judge(e *table.Entry[spikeKey], w, now int64, m *engine.Evaluation) {
	k := &e.Data
	n := k.count(w)
	if st.NearMisses() != nil {
		mean, known := st.past(k, w)
		st.missed(e, w, n, mean, known, now)
	}
	if !st.p.down && n < st.p.least {
		return
	}
	mean, known := st.past(k, w)
	if known < st.p.known {
		return
	}
	word := "only "
	if st.p.down {
		if mean < float64(st.p.least) || float64(n)*st.p.times > mean {
			return
		}
	} else {
		if float64(n) < st.p.times*mean {
			return
		}
		word = ""
	}
	k.raised = w
	agent := k.entity(st.Rule())
	f := finding{
		key: e.Key, at: now, start: w * st.p.window, end: min((w+1)*st.p.window, now), entity: agent, hosts: k.names(), count: n,
		reason: fmt.Sprintf("%s had %s%s in %s; in the %d windows before it had %s on average", engine.Subject(agent, e.Key), word,
			wording.Plural(n, "matching event"), wording.Duration(st.p.window), known, wording.Decimal(mean)),
		evidence: append(engine.Clauses(st.p.x, m), []engine.Evidence{
			engine.Text("window", wording.Duration(st.p.window)), engine.Number("value", n), engine.Float("baseline", mean),
			engine.Number("windows", known), engine.Float("times", st.p.times),
		}...),
	}
	f.evidence = append(f.evidence, st.before(k, w)...)
	if m != nil {
		f.source = m.Event
	}
	st.found.report(&f)
}

// alive reports whether few events say something: the feed has not stalled
// and, with host: up, records of the key's host came in the window.
func (st *spikeState) alive(k *spikeKey, w int64) bool {
	begin, end := w*st.p.window, (w+1)*st.p.window
	if begin < st.stalled {
		return false
	}
	return !st.p.alive || k.agent != nil && k.agent.LastSeen >= end-st.p.window/4 && k.agent.AwakeSince <= begin+st.p.window/4
}

// Fire closes a window, forgets a key, or ends an episode.
func (st *spikeState) Fire(due int64) {
	if st.found.next() == due {
		st.found.fire(due)
		return
	}
	e := st.table.Next()
	k := &e.Data
	w := k.judged + 1
	k.judged = w
	if st.p.down && st.alive(k, w) {
		st.judge(e, w, due, nil)
	} else if st.p.down && st.NearMisses() != nil {
		st.excused(e, w)
	}
	if w > k.newest+st.p.history {
		st.table.Remove(e)
		return
	}
	next := st.closes(w + 1)
	if !st.p.down { // Only the key's end matters.
		k.judged = max(w, k.newest+st.p.history)
		next = st.closes(k.judged + 1)
	}
	st.table.Wake(e, next)
	st.WakeAt(next)
}

func (k *spikeKey) Weight() int { return k.subjects.Weight() + table.Allocated(4*len(k.counts)) }

func (k *spikeKey) OpenAlerts(func(engine.OpenAlert), string, *engine.Rule) {}

func (st *spikeState) OpenAlerts(end func(engine.OpenAlert)) { st.found.open(end) }

func (st *spikeState) Persist(a *engine.Archive) {
	a.Time(&st.stalled)
	engine.PersistTable(a, st.table, func(e *table.Entry[spikeKey]) {
		k := &e.Data
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

func (st *spikeState) missed(e *table.Entry[spikeKey], w, n int64, mean float64, known, now int64) {
	miss := engine.NearMiss{Rule: st.Rule(), Stage: engine.MissedBound, Key: e.Key, At: min((w+1)*st.p.window, now), Measure: "matching events", Value: float64(n)}
	had := fmt.Sprintf("had %s in %s", wording.Plural(n, "matching event"), wording.Duration(st.p.window))
	past := fmt.Sprintf("with %s on average in the %s before", wording.Decimal(mean), wording.Plural(known, "window"))
	switch {
	case known < st.p.known:
		miss.Measure, miss.Value, miss.Bound = "windows of the past", float64(max(known, 0)), float64(st.p.known)
		miss.Nearness = miss.Value / miss.Bound / 2
		miss.Reason = fmt.Sprintf("%s, and a past of %s; the rule asks for %d (min_history)", had, wording.Plural(max(known, 0), "whole window"), st.p.known)
	case !st.p.down && n < st.p.least:
		miss.Bound = float64(st.p.least)
		miss.Nearness = miss.Value / miss.Bound / 2
		miss.Reason = fmt.Sprintf("%s; the rule asks for %d at least (min_events)", had, st.p.least)
	case !st.p.down && miss.Value < st.p.times*mean:
		miss.Bound = st.p.times * mean
		miss.Nearness = 0.5 + miss.Value/miss.Bound/2
		miss.Reason = fmt.Sprintf("%s, %s; the rule asks for %s times that, which is %s", had, past, wording.Decimal(st.p.times), wording.Decimal(miss.Bound))
	case st.p.down && mean < float64(st.p.least):
		miss.Measure, miss.Value, miss.Bound = "matching events of the past", mean, float64(st.p.least)
		miss.Nearness = mean / miss.Bound / 2
		miss.Reason = fmt.Sprintf("%s, %s; the rule asks for %d on average at least (min_events)", had, past, st.p.least)
	case st.p.down && miss.Value*st.p.times > mean:
		miss.Bound = mean / st.p.times
		miss.Nearness = 0.5 + miss.Bound/miss.Value/2
		miss.Reason = fmt.Sprintf("%s, %s; the rule asks for a %sth of that or less, which is %s", had, past, wording.Decimal(st.p.times), wording.Decimal(miss.Bound))
	default:
		return
	}
	st.NearMisses().Offer(miss)
}

// excused offers a window with few events that say nothing.
func (st *spikeState) excused(e *table.Entry[spikeKey], w int64) {
	reason := "the feed had stalled"
	if w*st.p.window >= st.stalled {
		reason = "no other records of its host came steadily (host: up)"
	}
	st.NearMisses().Offer(engine.NearMiss{
		Rule: st.Rule(), Stage: engine.MissedBound, Key: e.Key, At: (w + 1) * st.p.window,
		Reason: fmt.Sprintf("had %s in %s, which says nothing because %s", wording.Plural(e.Data.count(w), "matching event"), wording.Duration(st.p.window), reason),
	})
}

// before returns the count of the window of the past that was the largest
// multiple of what is usual now, or the smallest.
func (st *spikeState) before(k *spikeKey, w int64) []engine.Evidence {
	best, at := int64(-1), int64(0)
	for i := max(w-st.p.history, k.first+1); i < w; i++ {
		if n := k.count(i); best < 0 || !st.p.down && n >= best || st.p.down && n <= best {
			best, at = n, i
		}
	}
	if best < 0 {
		return nil
	}
	return []engine.Evidence{nearestBefore(strconv.AppendInt(nil, best, 10), at*st.p.window)}
}
