package rules

import (
	"fmt"
	"math"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// Spike is the kind of rule that compares a count with its own past.
func Spike() Kind {
	return Kind{
		Name: "spike",
		New:  func() declaration { return newSpikeRule() },
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
	Header    `yaml:",inline"`
	Condition strict.Text   `yaml:"condition,required"`
	Window    time.Duration `yaml:"window,required"` // Windows are tumbling, aligned to 1970.
	History   int           `yaml:"history"`         // Windows of the past.
	Known     int           `yaml:"min_history"`     // As many have to be known at least.
	Times     float64       `yaml:"times,required"`
	Direction string        `yaml:"direction"` // up or down.
	MinEvents int64         `yaml:"min_events"`
	Host      string        `yaml:"host"` // up: with direction down, only while other records of the host come.
}

// maxHistory bounds the past that is kept of a key.
const maxHistory = 64

func newSpikeRule() *spikeRule {
	return &spikeRule{Header: defaultHeader(), History: 12, Known: 4, Direction: "up", MinEvents: 10}
}

func (d *spikeRule) header() *Header { return &d.Header }

func (d *spikeRule) check(c *checker) {
	c.positive("window", d.Window, false)
	c.oneOf("direction", d.Direction, []string{"up", "down"})
	if d.History < 1 || d.History > maxHistory {
		c.problem("history", fmt.Sprintf("history is %d windows, expected 1 to %d", d.History, maxHistory), "")
	}
	if d.Known < 1 || d.Known > d.History {
		c.problem("min_history", fmt.Sprintf("min_history is %d windows, expected 1 to history, which is %d", d.Known, d.History), "")
	}
	if !(d.Times > 1) || math.IsInf(d.Times, 0) {
		c.problem("times", fmt.Sprintf("times is %v, expected more than 1", d.Times), "")
	}
	if d.MinEvents < 1 {
		c.problem("min_events", fmt.Sprintf("min_events is %d, expected 1 or more", d.MinEvents), "")
	}
	if d.Host != "" {
		c.oneOf("host", d.Host, []string{"up"})
	}
	if time.Duration(d.History+1)*d.Window > maxSpan {
		c.problem("history", "the past is longer than "+strict.FormatDuration(maxSpan), "take fewer or smaller windows")
	}
}

func (d *spikeRule) compile(c *compiler) plan {
	x := c.condition(d.Condition)
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

func (p *spikePlan) hooks() []hook { return []hook{hookOf(0, "condition", p.x)} }

func (p *spikePlan) horizon() time.Duration { return time.Duration((p.history + 1) * p.window) }

func (p *spikePlan) traits() traits { return traits{endless: true} }

func (p *spikePlan) newState(s *Session, r *Rule) state {
	slots := p.history + 2 + s.lateness/p.window
	st := &spikeState{RuleSession: RuleSession{s, r}, p: p, slots: slots, table: tableOf[spikeKey](s, r)}
	st.found = newOccurrences(&st.RuleSession)
	return st
}

// spikeState holds the counts of a spike rule.
type spikeState struct {
	RuleSession
	p     *spikePlan
	slots int64
	table *keyed[spikeKey]
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

func (st *spikeState) keys() (int, uint64) {
	return st.table.held(), st.table.evicted + st.found.table.evicted
}
func (st *spikeState) next() int64 { return earliest(st.table, st.found.table) }

func (st *spikeState) step(gap int64) int64 {
	if !st.p.down {
		return math.MaxInt64
	}
	if gap > st.p.window/4 {
		st.stalled = st.now() + gap
	}
	return st.p.window / 4
}

func (st *spikeState) observe(_ int, m *moment) {
	if m.late {
		st.countLate()
		return
	}
	key, ok := st.groupKey(m)
	if !ok {
		return
	}
	st.mark(m)
	e, created := st.table.obtain(key)
	k := &e.data
	k.add(st.rule(), m)
	w := m.at / st.p.window
	if created {
		*k = spikeKey{subjects: k.subjects, counts: make([]uint32, st.slots), first: w, newest: w, judged: w, raised: w - 1}
		st.table.wake(e, st.closes(w+1))
		st.wakeAt(e.due)
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
		st.judge(e, w, m.now, m)
	}
}

// closes is when a window is over for events that come late, too.
func (st *spikeState) closes(w int64) int64 { return (w+1)*st.p.window + st.lateness() }

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
func (st *spikeState) judge(e *entry[spikeKey], w, now int64, m *moment) {
	k := &e.data
	n := k.count(w)
	if st.near() != nil {
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
	agent := k.entity(st.rule())
	f := finding{
		key: e.key, at: now, start: w * st.p.window, end: min((w+1)*st.p.window, now), entity: agent, hosts: k.names(), count: n,
		reason: fmt.Sprintf("%s had %s%s in %s; in the %d windows before it had %s on average", subject(agent, e.key), word,
			plural(n, "matching event"), duration(st.p.window), known, decimal(mean)),
		evidence: append(clauses(st.p.x, m), []pair{
			text("window", duration(st.p.window)), number("value", n), floating("baseline", mean),
			number("windows", known), floating("times", st.p.times),
		}...),
	}
	f.evidence = append(f.evidence, st.before(k, w)...)
	if m != nil {
		f.source = m.e
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

// fire closes a window, forgets a key, or ends an episode.
func (st *spikeState) fire(due int64) {
	if st.found.next() == due {
		st.found.fire(due)
		return
	}
	e := st.table.next()
	k := &e.data
	w := k.judged + 1
	k.judged = w
	if st.p.down && st.alive(k, w) {
		st.judge(e, w, due, nil)
	} else if st.p.down && st.near() != nil {
		st.excused(e, w)
	}
	if w > k.newest+st.p.history {
		st.table.remove(e)
		return
	}
	next := st.closes(w + 1)
	if !st.p.down { // Only the key's end matters.
		k.judged = max(w, k.newest+st.p.history)
		next = st.closes(k.judged + 1)
	}
	st.table.wake(e, next)
	st.wakeAt(next)
}
