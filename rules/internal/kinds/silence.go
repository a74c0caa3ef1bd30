package kinds

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/table"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// Silence is the kind of rule that alerts when events stop.
func Silence() engine.Kind {
	return engine.Kind{
		Name:    "silence",
		Meaning: "the events that keep an agent alive stop",
		New:     func() engine.Declaration { return newSilenceRule() },
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
	spec.Header       `yaml:",inline"`
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

func newSilenceRule() *silenceRule { return &silenceRule{Header: spec.DefaultHeader(), Host: "any"} }

func (d *silenceRule) Check(c *spec.Checker) {
	if d.Verdict != "" {
		checkFleetSilence(c, d)
		return
	}
	if d.Condition.Value == "" {
		c.Problem("", `missing key "condition"`, "the events that keep an agent alive; or verdict: cohort, site or feed")
	}
	c.Positive("after", d.After, false)
	c.OneOf("host", d.Host, []string{"any", "up"})
	if d.MultipleOfCadence != 0 && (d.MultipleOfCadence < 1.5 || d.MultipleOfCadence > 1000) {
		c.Problem("multiple_of_cadence", fmt.Sprintf("multiple_of_cadence is %v, expected 1.5 to 1000", d.MultipleOfCadence), "")
	}
	if d.Suppress != 0 {
		c.Problem("suppress", "silence has no suppress: an agent is silent once until it returns", "")
	}
	k := d.Cohort
	if k == nil {
		return
	}
	if k.Percent <= 0 || k.Percent > 100 {
		c.Problem("cohort.percent", fmt.Sprintf("percent is %v, expected more than 0 and at most 100", k.Percent), "")
	}
	if len(k.By) == 0 {
		c.Problem("cohort.by", "by is empty", "name fields such as agent.type")
	}
	if k.MinAgents < 0 || k.MinSilent < 0 || k.TimesUsual < 0 {
		c.Problem("cohort", "min_agents, min_silent and times_usual cannot be negative", "")
	}
	c.Positive("cohort.within", k.Within, true)
	if d.Scope == "host" {
		c.Problem("scope", "a rule about a cohort needs scope: cohort, site or fleet", "")
	}
	if d.Host == "up" {
		c.Problem("host", "host: up has no meaning for a cohort", "")
	}
	if len(d.HostType) > 0 {
		c.Problem("host_type", "host_type has no meaning for a cohort", "put host.type into condition, or into cohort.by")
	}
}

func (d *silenceRule) Compile(c *engine.Compiler) engine.Plan {
	if d.Verdict != "" {
		return &fleetPlan{kind: fleetVerdicts()[d.Verdict]}
	}
	p := &silencePlan{after: int64(d.After), multiple: d.MultipleOfCadence, hostUp: d.Host == "up", hostTypes: d.HostType}
	p.alive = c.Condition(d.Condition)
	if d.EndsOn.Value != "" {
		p.ends = c.Condition(d.EndsOn)
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
			p.cohort.by = append(p.cohort.by, c.Field("cohort.by", name))
			p.cohort.names = append(p.cohort.names, name)
		}
	}
	if p.alive == nil || !c.OK() {
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

func (p *silencePlan) Hooks() []engine.Hook {
	alive := engine.NewHook(slotAlive, "condition", p.alive)
	alive.TakesLate = true
	list := []engine.Hook{alive}
	if p.ends != nil {
		goodbye := engine.NewHook(slotEnds, "ends_on", p.ends)
		goodbye.Unexcepted = true
		list = append(list, goodbye)
	}
	return list
}

// Horizon is the longest patience with an agent whose cadence is not known
// (see patience) and the silence once more, so that agents that fell silent
// before the last acknowledged record are known again and are reported when
// they are due.
func (p *silencePlan) Horizon() time.Duration {
	if p.multiple > 0 {
		return time.Duration(4 * p.after)
	}
	return time.Duration(2 * p.after)
}

func (p *silencePlan) Traits() engine.Traits {
	return engine.Traits{Copies: p.multiple == 0, Silence: true}
}

func (p *silencePlan) NewState(s *engine.Session, r *engine.Rule) engine.State {
	st := &silenceState{RuleSession: engine.NewRuleSession(s, r), p: p, table: engine.NewTable[silenceKey](s, r)}
	st.table.OnEvict = func(e *table.Entry[silenceKey]) { st.leave(&e.Data) }
	if p.cohort != nil {
		st.cohorts = make(map[string]*cohort)
	}
	st.byEntity = r.ByEntity()
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
	engine.RuleSession
	p        *silencePlan
	table    *table.Keyed[silenceKey]
	frozen   int64 // Time taken out so far.
	cohorts  map[string]*cohort
	byEntity bool
	buf      []byte
}

// silenceKey is the state of one agent.
type silenceKey struct {
	engine.Episode
	seen    int64  // Clock without gaps at the last sign of life.
	heard   int64  // Clock at the last sign of life.
	cadence int64  // Mean time between signs of life, 0 while unknown.
	feed    string // That brought the last one.
	armed   bool
	overdue bool // Counted by its cohort as silent.
	place   int  // In the cohort's list, entries that left its front included.
	cohort  *cohort
	folded  string // Episode of a cohort that stands for this silence.
	entity  *engine.Entity
}

func (st *silenceState) KeyCount() (int, uint64) { return st.table.Held(), st.table.Evicted }

func (st *silenceState) ClockJumped(gap int64) int64 {
	harmless := st.p.after / 2
	if gap > harmless {
		st.frozen += gap - harmless
	}
	return harmless
}

func (st *silenceState) Next() int64 {
	if e := st.table.Next(); e != nil {
		return e.Due + st.frozen
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

func (st *silenceState) Observe(slot int, m *engine.Evaluation) {
	key, ok := st.GroupKey(m)
	if !ok {
		return
	}
	if slot == slotEnds {
		if e := st.table.Get(key); e != nil {
			st.disarm(e, m)
		}
		return
	}
	e, created := st.table.Obtain(key)
	k := &e.Data
	st.returned(e, m)
	if !created && k.armed {
		gap := m.Now - st.frozen - k.seen
		if st.NearMisses() != nil && st.p.cohort == nil {
			st.missed(e, m.Now, gap)
		}
		if k.cadence == 0 {
			k.cadence = max(gap, 1)
		} else if gap < k.cadence { // The first gap may have been a sleep; learn quickly that it was.
			k.cadence += (gap - k.cadence) / 2
		} else if gap <= st.patience(k) {
			k.cadence += (gap - k.cadence) / 8
		}
	}
	k.seen, k.heard, k.armed, k.entity, k.feed = m.Now-st.frozen, m.Now, true, m.Entity, m.Event.Feed
	if st.p.multiple == 0 || k.cadence > 0 { // Who is not understood yet counts for no cohort.
		st.join(k, m)
	}
	// A timer that runs out earlier finds out by itself that the agent was heard.
	if due := k.seen + st.patience(k); !e.Timed() || due < e.Due {
		st.again(e, due)
	}
}

// returned ends the silence of an agent that is heard again.
func (st *silenceState) returned(e *table.Entry[silenceKey], m *engine.Evaluation) {
	k := &e.Data
	if k.overdue {
		st.memberReturned(k, m.Now)
	}
	if !k.Firing() {
		return
	}
	k.Resolve()
	st.Mark(m)
	st.Raise(&k.Episode, &engine.Alert{
		At: m.Now, Status: "resolved", Key: e.Key, Entity: k.entity, Source: m.Event,
		Reason:   fmt.Sprintf("%s is heard again after %s", engine.Subject(k.entity, e.Key), wording.Duration(m.Now-k.heard)),
		Evidence: []engine.Evidence{engine.Text("silent_for", wording.Duration(m.Now-k.heard)), engine.Text("after", wording.Duration(st.p.after))},
	})
}

// disarm stops waiting for an agent that said goodbye.
func (st *silenceState) disarm(e *table.Entry[silenceKey], m *engine.Evaluation) {
	k := &e.Data
	if k.Firing() {
		k.Resolve()
		st.Raise(&k.Episode, &engine.Alert{
			At: m.Now, Status: "resolved", Key: e.Key, Entity: k.entity, Source: m.Event,
			Reason: fmt.Sprintf("%s ended cleanly: %s", engine.Subject(k.entity, e.Key), m.Event.Str(ecs.EventAction)),
		})
	}
	k.armed = false
	if c := k.cohort; c != nil {
		st.leave(k)
		st.resolveCohort(c, m.Now)
	}
	st.table.Wake(e, 0)
}

// Fire looks at the agent whose timer is due: it was heard since, or it is
// silent.
func (st *silenceState) Fire(due int64) {
	e := st.table.Next()
	k := &e.Data
	if at := k.seen + st.patience(k); at > e.Due {
		st.again(e, at)
		return
	}
	if st.p.cohort != nil {
		st.table.Wake(e, 0)
		st.missing(e, due)
		return
	}
	if wait := st.excused(k); wait {
		if st.NearMisses() != nil {
			st.missedExcuse(e, due)
		}
		st.again(e, e.Due+max(st.p.after/2, 1))
		return
	}
	st.table.Wake(e, 0)
	k.Episode = st.NewEpisode(e.Key, k.heard, "")
	k.Count = 1
	evidence := []engine.Evidence{
		engine.Text("last_heard", string(event.AppendTime(nil, k.heard))), engine.Text("silent_for", wording.Duration(due-k.heard)), engine.Text("after", wording.Duration(st.p.after)),
	}
	if k.cadence > 0 {
		evidence = append(evidence, engine.Text("cadence", wording.Duration(k.cadence)))
	}
	reason := fmt.Sprintf("nothing heard from %s for %s, since %s", engine.Subject(k.entity, e.Key), wording.Duration(due-k.heard), event.AppendTime(nil, k.heard))
	if st.p.hostUp {
		reason += "; its host still reports"
		evidence = append(evidence, engine.Text("host_last_heard", string(event.AppendTime(nil, k.entity.LastSeen))))
	}
	st.Raise(&k.Episode, &engine.Alert{At: due, Status: "firing", Key: e.Key, Entity: k.entity, Reason: reason, Evidence: evidence})
}

// again sets the timer again.
func (st *silenceState) again(e *table.Entry[silenceKey], due int64) {
	st.table.Wake(e, due)
	st.WakeAt(due + st.frozen)
}

// excused reports that the silence is not to be raised now: a cohort's alert
// covers it, it is not of the hosts that the rule is about, or the rule asks for
// a host that is up and it has not been heard steadily until now.
func (st *silenceState) excused(k *silenceKey) bool {
	if st.byEntity && k.entity != nil && k.entity.Fold != nil && k.entity.Fold.Firing() {
		if fold := k.entity.Fold; k.folded != fold.ID {
			k.folded = fold.ID
			fold.Folded++
		}
		return true
	}
	n := k.entity
	if n != nil && st.SilenceExplained(n) {
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
	half, lag := st.p.after/2, int64(st.FeedLag(k.feed))
	return n == nil || n.Present <= k.heard || st.Now()-n.Present > half || st.Now()-n.PresentSince < half+lag
}

// Persist writes or reads the agents of a silence rule. How many agents of a
// cohort are alive, and which of them are the silent ones, follows from the
// agents.
func (st *silenceState) Persist(a *engine.Archive) {
	snapshot.Int(a.Codec, &st.frozen)
	var order []*cohort
	for _, key := range slices.Sorted(maps.Keys(st.cohorts)) {
		order = append(order, st.cohorts[key])
	}
	places := map[*cohort]int{}
	snapshot.List(a.Codec, &order, func(c **cohort) {
		if a.Reading() {
			*c = &cohort{}
		}
		(*c).persist(a)
		places[*c] = len(places) + 1
		if a.Reading() && st.cohorts != nil {
			st.cohorts[(*c).key] = *c
		}
	})
	engine.PersistTable(a, st.table, func(e *table.Entry[silenceKey]) {
		k := &e.Data
		k.Episode.Persist(a)
		a.Time(&k.seen)
		a.Time(&k.heard)
		snapshot.Int(a.Codec, &k.cadence)
		a.Shared(&k.feed)
		a.Bool(&k.armed)
		k.Episode.PersistFiring(a)
		a.Shared(&k.folded)
		a.Agent(&k.entity)
		place := places[k.cohort]
		if snapshot.Int(a.Codec, &place); place == 0 {
			return
		}
		if place < 0 || place > len(order) {
			a.Fail("expected one of %d cohorts, found number %d", len(order), place)
			return
		}
		k.cohort = order[place-1]
		k.persistPlace(a)
	})
}

// fleetVerdicts are the values of verdict and the findings that they stand for.
func fleetVerdicts() map[string]string {
	return map[string]string{"cohort": "mass_silence", "site": "site_outage", "feed": "pipeline_silence"}
}

// checkFleetSilence checks a silence rule about what the fleet's judge found.
func checkFleetSilence(c *spec.Checker, d *silenceRule) {
	if !c.OneOf("verdict", d.Verdict, slices.Sorted(maps.Keys(fleetVerdicts()))) {
		return
	}
	for key, set := range map[string]bool{
		"condition": d.Condition.Value != "", "after": d.After != 0, "multiple_of_cadence": d.MultipleOfCadence != 0, "ends_on": d.EndsOn.Value != "",
		"host": d.Host != "any", "host_type": len(d.HostType) > 0, "cohort": d.Cohort != nil,
	} {
		if set {
			c.Problem(key, key+" has no meaning beside verdict", "the fleet's judge knows when each agent is due")
		}
	}
	checkFleetHeader(c, &d.Header, map[string]string{"cohort": "cohort", "site": "site", "feed": "pipeline"}[d.Verdict])
}

func (k *silenceKey) Weight() int { return k.Episode.Weight() }

func (k *silenceKey) OpenAlerts(end func(engine.OpenAlert), key string, _ *engine.Rule) {
	if k.Firing() {
		end(engine.OpenAlert{Episode: &k.Episode, Key: key, Entity: k.entity})
	}
}

func (st *silenceState) OpenAlerts(end func(engine.OpenAlert)) {
	engine.OpenAlertsIn(st.table, st.Rule(), end)
	for _, key := range slices.Sorted(maps.Keys(st.cohorts)) {
		if c := st.cohorts[key]; c.Firing() {
			end(engine.OpenAlert{Episode: &c.Episode, Key: c.key, Scope: "cohort"})
		}
	}
}

// missed offers how long an agent was silent before it was heard again.
func (st *silenceState) missed(e *table.Entry[silenceKey], at, gap int64) {
	k := &e.Data
	patience := st.patience(k)
	if gap <= 0 || gap >= patience {
		return
	}
	miss := engine.NearMiss{
		Rule: st.Rule(), Stage: engine.MissedBound, Key: e.Key, At: at, Measure: "seconds of silence", Value: wording.Seconds(gap), Bound: wording.Seconds(patience),
		Nearness: float64(gap) / float64(patience),
	}
	waits := "after"
	if st.p.multiple > 0 {
		waits = fmt.Sprintf("%s times its usual %s", wording.Decimal(st.p.multiple), wording.Duration(k.cadence))
		if k.cadence == 0 {
			waits = "three times after, as its cadence is not known yet"
		} else if patience == st.p.after {
			waits = "after"
		}
	}
	counted := ""
	if whole := at - k.heard; whole > gap {
		counted = fmt.Sprintf(", of which %s count, as nothing at all came in the rest", wording.Duration(gap))
		gap = whole
	}
	miss.Reason = fmt.Sprintf("was silent for %s%s; the rule waits for %s (%s)", wording.Duration(gap), counted, wording.Duration(patience), waits)
	st.NearMisses().Offer(miss)
}

// OfferOngoing offers the silences that have not ended.
func (st *silenceState) OfferOngoing() {
	if st.p.cohort != nil {
		return
	}
	for e := range st.table.All() {
		if e.Data.armed && e.Timed() {
			st.missed(e, st.Now(), st.Now()-st.frozen-e.Data.seen)
		}
	}
}

// missedExcuse offers a silence that was long enough and explained.
func (st *silenceState) missedExcuse(e *table.Entry[silenceKey], due int64) {
	k := &e.Data
	reason := "its host was not heard steadily (host: up)"
	switch n := k.entity; {
	case st.byEntity && n != nil && n.Fold != nil && n.Fold.Firing():
		reason = "an alert about its cohort tells of it"
	case n != nil && st.SilenceExplained(n):
		reason = "its goodbye, its dark site or its feed explains it"
	case len(st.p.hostTypes) > 0 && n != nil && !slices.Contains(st.p.hostTypes, n.HostType):
		reason = fmt.Sprintf("its host.type is %q, and the rule is about %s (host_type)", n.HostType, wording.Joined(st.p.hostTypes))
	}
	st.NearMisses().Offer(engine.NearMiss{
		Rule: st.Rule(), Stage: engine.MissedBound, Key: e.Key, At: due, Measure: "seconds of silence", Value: wording.Seconds(due - k.heard), Bound: wording.Seconds(st.patience(k)),
		Nearness: 0.999, Reason: fmt.Sprintf("was silent for %s, and %s", wording.Duration(due-k.heard), reason),
	})
}
