package rules

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// Silence is the kind of rule that alerts when events stop.
func Silence() Kind {
	return Kind{
		Name: "silence",
		New:  func() declaration { return newSilenceRule() },
		Keys: map[string]string{
			"verdict":             "cohort, site or feed: what the fleet's judge found silent, in place of condition and after.",
			"after":               "How long nothing has to be heard.",
			"multiple_of_cadence": "The silence as a multiple of the usual time between events of the agent, if that is longer than after.",
			"ends_on":             "A condition whose event ends the watch: the agent said goodbye.",
			"host":                "up: only while other records of the host come; any without it.",
			"host_type":           "Only hosts of these types; unknown stands for none.",
			"cohort":              "Alert once for many agents that fall silent together.",
			"by":                  "The fields that agents of a cohort have in common.",
			"min_agents":          "Smaller cohorts are not judged.",
			"min_silent":          "Fewer silent agents are no alert.",
			"percent":             "The share of the cohort that has to be silent.",
			"times_usual":         "How much more than usual has to fall silent.",
		},
		Words: map[string][]string{"verdict": {"cohort", "feed", "site"}, "host": {"any", "up"}},
		Scaffold: `condition: event.action == "sensor-heartbeat"
after: 20m
tests:
  - name: an agent stops
    fleet: [{agents: 10, every: 1m, until: +2h, set: {event.action: sensor-heartbeat}, stop: [{at: +30m, agents: "7"}]}]
    expect: [{by: +60m, alerts: 1}]
  - name: all agents live
    fleet: [{agents: 10, every: 1m, until: +2h, set: {event.action: sensor-heartbeat}}]
    expect: [{by: +2h, alerts: 0}]
`,
	}
}

// silenceRule alerts when the events that keep an agent alive stop.
type silenceRule struct {
	Header            `yaml:",inline"`
	Verdict           string        `yaml:"verdict"` // cohort, site or feed: what the fleet's judge found silent.
	Condition         strict.Text   `yaml:"condition"`
	After             time.Duration `yaml:"after"`
	MultipleOfCadence float64       `yaml:"multiple_of_cadence"`
	EndsOn            strict.Text   `yaml:"ends_on"`
	Host              string        `yaml:"host"`
	HostType          []string      `yaml:"host_type"`
	Cohort            *cohortKeys   `yaml:"cohort"`
}

// cohortKeys make a silence rule alert once for many agents.
type cohortKeys struct {
	By        []string      `yaml:"by,required"`
	MinAgents int64         `yaml:"min_agents"`
	MinSilent int64         `yaml:"min_silent"`
	Percent   float64       `yaml:"percent,required"`
	Within    time.Duration `yaml:"within"`
	// TimesUsual is how much more than usual has to fall silent, against the
	// highest count of the cohort's own recent past.
	TimesUsual float64 `yaml:"times_usual"`
}

func newSilenceRule() *silenceRule { return &silenceRule{Header: defaultHeader(), Host: "any"} }

func (d *silenceRule) header() *Header { return &d.Header }

func (d *silenceRule) check(c *checker) {
	if d.Verdict != "" {
		checkFleetSilence(c, d)
		return
	}
	if d.Condition.Value == "" {
		c.problem("", `missing key "condition"`, "the events that keep an agent alive; or verdict: cohort, site or feed")
	}
	c.positive("after", d.After, false)
	c.oneOf("host", d.Host, []string{"any", "up"})
	if d.MultipleOfCadence != 0 && (d.MultipleOfCadence < 1.5 || d.MultipleOfCadence > 1000) {
		c.problem("multiple_of_cadence", fmt.Sprintf("multiple_of_cadence is %v, expected 1.5 to 1000", d.MultipleOfCadence), "")
	}
	if d.Suppress != 0 {
		c.problem("suppress", "silence has no suppress: an agent is silent once until it returns", "")
	}
	k := d.Cohort
	if k == nil {
		return
	}
	if k.Percent <= 0 || k.Percent > 100 {
		c.problem("cohort.percent", fmt.Sprintf("percent is %v, expected more than 0 and at most 100", k.Percent), "")
	}
	if len(k.By) == 0 {
		c.problem("cohort.by", "by is empty", "name fields such as agent.type")
	}
	if k.MinAgents < 0 || k.MinSilent < 0 || k.TimesUsual < 0 {
		c.problem("cohort", "min_agents, min_silent and times_usual cannot be negative", "")
	}
	c.positive("cohort.within", k.Within, true)
	if d.Scope == "host" {
		c.problem("scope", "a rule about a cohort needs scope: cohort, site or fleet", "")
	}
	if d.Host == "up" {
		c.problem("host", "host: up has no meaning for a cohort", "")
	}
	if len(d.HostType) > 0 {
		c.problem("host_type", "host_type has no meaning for a cohort", "put host.type into condition, or into cohort.by")
	}
}

func (d *silenceRule) compile(c *compiler) plan {
	if d.Verdict != "" {
		return &fleetPlan{kind: fleetVerdicts()[d.Verdict]}
	}
	p := &silencePlan{after: int64(d.After), multiple: d.MultipleOfCadence, hostUp: d.Host == "up", hostTypes: d.HostType}
	p.alive = c.condition(d.Condition)
	if d.EndsOn.Value != "" {
		p.ends = c.condition(d.EndsOn)
	}
	if k := d.Cohort; k != nil {
		p.cohort = &cohortPlan{percent: k.Percent, minAgents: max(k.MinAgents, 1), minSilent: max(k.MinSilent, 1), within: int64(k.Within), timesUsual: k.TimesUsual}
		if k.MinSilent == 0 {
			p.cohort.minSilent = 5
		}
		if k.TimesUsual == 0 {
			p.cohort.timesUsual = 2
		}
		if p.cohort.within == 0 {
			p.cohort.within = p.after
		}
		for _, name := range k.By {
			p.cohort.by = append(p.cohort.by, c.field("cohort.by", name))
			p.cohort.names = append(p.cohort.names, name)
		}
	}
	if p.alive == nil || !c.ok() {
		return nil
	}
	return p
}

// silencePlan is a compiled silence rule.
type silencePlan struct {
	alive     *expression.Expression
	ends      *expression.Expression // nil without ends_on.
	after     int64
	multiple  float64
	hostUp    bool
	hostTypes []string // Of host.type; "unknown" for none. Empty: all.
	cohort    *cohortPlan
}

// Slots of a silence rule, in the order in which they see an event.
const (
	slotAlive = iota
	slotEnds
)

func (p *silencePlan) hooks() []hook {
	alive := hookOf(slotAlive, "condition", p.alive)
	alive.takesLate = true
	list := []hook{alive}
	if p.ends != nil {
		goodbye := hookOf(slotEnds, "ends_on", p.ends)
		goodbye.unexcepted = true
		list = append(list, goodbye)
	}
	return list
}

// horizon is the longest patience with an agent whose cadence is not known
// (see patience) and the silence once more, so that agents that fell silent
// before the last acknowledged record are known again and are reported when
// they are due.
func (p *silencePlan) horizon() time.Duration {
	if p.multiple > 0 {
		return time.Duration(4 * p.after)
	}
	return time.Duration(2 * p.after)
}

func (p *silencePlan) traits() traits { return traits{copies: p.multiple == 0, silence: true} }

func (p *silencePlan) newState(s *Session, r *Rule) state {
	st := &silenceState{RuleSession: RuleSession{s, r}, p: p, table: tableOf[silenceKey](s, r)}
	st.table.onEvict = func(e *entry[silenceKey]) { st.leave(&e.data) }
	if p.cohort != nil {
		st.cohorts = make(map[string]*cohort)
	}
	st.byEntity = r.byEntity()
	return st
}

// silenceState watches the agents of one silence rule.
//
// Its timers run on the clock of the feed with the feed's own gaps taken out:
// when nothing at all came for longer than half of after, the part beyond that
// half does not count for anybody. So a feed that stalls and resumes does not
// look like agents that died, while agents that really are gone are noticed
// half of after, at most, after it resumes.
type silenceState struct {
	RuleSession
	p        *silencePlan
	table    *keyed[silenceKey]
	frozen   int64 // Time taken out so far.
	cohorts  map[string]*cohort
	byEntity bool
	buf      []byte
}

// silenceKey is the state of one agent.
type silenceKey struct {
	episode
	seen    int64  // Clock without gaps at the last sign of life.
	heard   int64  // Clock at the last sign of life.
	cadence int64  // Mean time between signs of life, 0 while unknown.
	feed    string // That brought the last one.
	armed   bool
	firing  bool
	overdue bool // Counted by its cohort as silent.
	place   int  // In the cohort's list, entries that left its front included.
	cohort  *cohort
	folded  string // Episode of a cohort that stands for this silence.
	entity  *entity
}

func (st *silenceState) keys() (int, uint64) { return st.table.held(), st.table.evicted }

func (st *silenceState) step(gap int64) int64 {
	harmless := st.p.after / 2
	if gap > harmless {
		st.frozen += gap - harmless
	}
	return harmless
}

func (st *silenceState) next() int64 {
	if e := st.table.next(); e != nil {
		return e.due + st.frozen
	}
	return math.MaxInt64
}

// patience is how long the agent may be silent. With multiple_of_cadence an
// agent whose cadence is not known yet gets three times as long.
func (st *silenceState) patience(k *silenceKey) int64 {
	switch {
	case st.p.multiple == 0:
		return st.p.after
	case k.cadence == 0:
		return 3 * st.p.after
	}
	return max(st.p.after, int64(st.p.multiple*float64(k.cadence)))
}

func (st *silenceState) observe(slot int, m *moment) {
	key, ok := st.groupKey(m)
	if !ok {
		return
	}
	if slot == slotEnds {
		if e := st.table.get(key); e != nil {
			st.disarm(e, m)
		}
		return
	}
	e, created := st.table.obtain(key)
	k := &e.data
	st.returned(e, m)
	if !created && k.armed {
		gap := m.now - st.frozen - k.seen
		if st.near() != nil && st.p.cohort == nil {
			st.missed(e, m.now, gap)
		}
		if k.cadence == 0 {
			k.cadence = max(gap, 1)
		} else if gap < k.cadence { // The first gap may have been a sleep; learn quickly that it was.
			k.cadence += (gap - k.cadence) / 2
		} else if gap <= st.patience(k) {
			k.cadence += (gap - k.cadence) / 8
		}
	}
	k.seen, k.heard, k.armed, k.entity, k.feed = m.now-st.frozen, m.now, true, m.entity, m.e.Feed
	if st.p.multiple == 0 || k.cadence > 0 { // Who is not understood yet counts for no cohort.
		st.join(k, m)
	}
	// A timer that runs out earlier finds out by itself that the agent was heard.
	if due := k.seen + st.patience(k); !e.timed() || due < e.due {
		st.again(e, due)
	}
}

// returned ends the silence of an agent that is heard again.
func (st *silenceState) returned(e *entry[silenceKey], m *moment) {
	k := &e.data
	if k.overdue {
		st.recover(k, m.now)
	}
	if !k.firing {
		return
	}
	k.firing = false
	st.mark(m)
	st.raise(&k.episode, &alert{
		at: m.now, status: "resolved", key: e.key, entity: k.entity, source: m.e,
		reason:   fmt.Sprintf("%s is heard again after %s", subject(k.entity, e.key), duration(m.now-k.heard)),
		evidence: []pair{text("silent_for", duration(m.now-k.heard)), text("after", duration(st.p.after))},
	})
}

// disarm stops waiting for an agent that said goodbye.
func (st *silenceState) disarm(e *entry[silenceKey], m *moment) {
	k := &e.data
	if k.firing {
		k.firing = false
		st.raise(&k.episode, &alert{
			at: m.now, status: "resolved", key: e.key, entity: k.entity, source: m.e,
			reason: fmt.Sprintf("%s ended cleanly: %s", subject(k.entity, e.key), m.e.Str(ecs.EventAction)),
		})
	}
	k.armed = false
	if c := k.cohort; c != nil {
		st.leave(k)
		st.settle(c, m.now)
	}
	st.table.wake(e, 0)
}

// fire looks at the agent whose timer is due: it was heard since, or it is
// silent.
func (st *silenceState) fire(due int64) {
	e := st.table.next()
	k := &e.data
	if at := k.seen + st.patience(k); at > e.due {
		st.again(e, at)
		return
	}
	if st.p.cohort != nil {
		st.table.wake(e, 0)
		st.missing(e, due)
		return
	}
	if wait := st.excused(k); wait {
		if st.near() != nil {
			st.missedExcuse(e, due)
		}
		st.again(e, e.due+max(st.p.after/2, 1))
		return
	}
	st.table.wake(e, 0)
	k.episode = st.newEpisode(e.key, k.heard, "")
	k.count, k.firing = 1, true
	evidence := []pair{
		text("last_heard", string(event.AppendTime(nil, k.heard))), text("silent_for", duration(due-k.heard)), text("after", duration(st.p.after)),
	}
	if k.cadence > 0 {
		evidence = append(evidence, text("cadence", duration(k.cadence)))
	}
	reason := fmt.Sprintf("nothing heard from %s for %s, since %s", subject(k.entity, e.key), duration(due-k.heard), event.AppendTime(nil, k.heard))
	if st.p.hostUp {
		reason += "; its host still reports"
		evidence = append(evidence, text("host_last_heard", string(event.AppendTime(nil, k.entity.LastSeen))))
	}
	st.raise(&k.episode, &alert{at: due, status: "firing", key: e.key, entity: k.entity, reason: reason, evidence: evidence})
}

// again sets the timer anew.
func (st *silenceState) again(e *entry[silenceKey], due int64) {
	st.table.wake(e, due)
	st.wakeAt(due + st.frozen)
}

// excused reports that the silence is not to be raised now: a cohort's alert
// covers it, it is not of the hosts that the rule is about, or the rule asks for
// a host that is up and it has not been heard steadily of late.
func (st *silenceState) excused(k *silenceKey) bool {
	if st.byEntity && k.entity != nil && k.entity.fold != nil && k.entity.fold.firing {
		if fold := k.entity.fold; k.folded != fold.id {
			k.folded = fold.id
			fold.folded++
		}
		return true
	}
	n := k.entity
	if n != nil && st.silenceExplained(n) {
		return true
	}
	if len(st.p.hostTypes) > 0 {
		typ := "unknown"
		if n != nil && n.HostType != "" {
			typ = n.HostType
		}
		if !slices.Contains(st.p.hostTypes, typ) {
			return true
		}
	}
	if !st.p.hostUp {
		return false
	}
	half, lag := st.p.after/2, int64(st.feedLag(k.feed))
	return n == nil || n.present <= k.heard || st.now()-n.present > half || st.now()-n.presentSince < half+lag
}
