package engine

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// FleetWide reports whether the rule is judged over all partitions at once: its
// key names no single agent or host, or it says across: topics.
func (r *Rule) FleetWide() bool { return r.carries != nil }

// Judged says so in a word: fleet, or partition.
func (r *Rule) Judged() string {
	if r.FleetWide() || r.FleetFinding() {
		return "fleet"
	}
	return "partition"
}

// FleetFinding reports whether the rule makes alerts of what the fleet's judge
// finds.
func (r *Rule) FleetFinding() bool { return r.plan.Traits().Findings }

// judgedWide decides so.
func (r *Rule) judgedWide(h *spec.Header) bool {
	if !r.plan.Traits().Forwards {
		return false
	}
	return h.Across == spec.AcrossTopics || !r.namesOne()
}

// namesOne reports whether a part of the key stands for one agent or host.
func (r *Rule) namesOne() bool {
	return slices.ContainsFunc(r.groupBy, func(p keyPart) bool { return spec.NamesOneAgent(p.name) })
}

// judgesWide reports whether a rule of the set is about the whole fleet.
func (set *Ruleset) judgesWide() bool {
	return slices.ContainsFunc(set.rules, func(r *Rule) bool { return r.FleetWide() || r.rollup != nil })
}

// holds reports whether the session holds the state of a rule.
func (s *Session) holds(r *Rule) bool { return r.FleetWide() == s.wide }

// newState is that of a rule, empty where another session holds it.
func (s *Session) newState(r *Rule) State {
	if !s.holds(r) {
		return noState{}
	}
	return r.plan.NewState(s, r)
}

// FleetWide judges the rules about the whole fleet by the matches of all
// partitions: a session whose clock is the end of the step that is closed. It
// implements fleet.Across.
type FleetWide struct {
	session *Session
	options SessionOptions
	doc     *event.Event
	numbers map[string]int // Of rules, by what matches call them.
	raised  []fleet.Finding
}

// JoinFleet lets the rules of the set about the whole fleet be judged where a
// fleet's steps are closed. Of the options lateness and bounds count. Later calls
// with other sets go on with the state of the rules that they inherit.
func (set *Ruleset) JoinFleet(f *fleet.Fleet, o SessionOptions) {
	set.joinFleet(f, o, nil, false)
}

// joinFleet does so; quiet: another one counts its alerts.
func (set *Ruleset) joinFleet(f *fleet.Fleet, o SessionOptions, misses *NearMisses, quiet bool) {
	f.UseAcross(func(a fleet.Across) fleet.Across {
		w, ok := a.(*FleetWide)
		if !ok && !set.judgesWide() {
			return a // A set that has such rules no more ends the alerts of those before.
		}
		if !ok {
			w = &FleetWide{options: o}
			w.begin(set, quiet)
		}
		w.use(set)
		if misses != nil {
			w.session.nearMisses = misses
		}
		return w
	})
}

func (w *FleetWide) begin(set *Ruleset, quiet bool) {
	o := w.options
	if o.Lateness <= 0 {
		o.Lateness = event.DefaultLateness
	}
	if o.MaxKeys <= 0 {
		o.MaxKeys = defaultMaxKeys
	}
	s := &Session{
		set: set, lateness: int64(o.Lateness), maxKeys: o.MaxKeys, maxState: o.MaxState, candidates: make([]uint64, set.index.words),
		counters: make([]Counters, len(set.rules)), published: make([]held, len(set.rules)), isCanary: quiet, wide: true, cutAt: make([]int64, len(set.rules)),
	}
	s.writer.init(set.dict)
	s.begin()
	w.session, w.doc = s, event.New(set.dict)
	w.number()
}

func (w *FleetWide) number() {
	w.numbers = map[string]int{}
	for i, r := range w.session.set.rules {
		if !r.removed && (r.FleetWide() || r.rollup != nil) {
			w.numbers[r.section()] = i
		}
	}
}

// use goes on with another set.
func (w *FleetWide) use(set *Ruleset) {
	if set == w.session.set {
		return
	}
	w.session.Reload(set, w.raise)
	w.number()
}

func (w *FleetWide) raise(alert *event.Event) {
	w.raised = append(w.raised, fleet.Finding{Kind: fleet.RaisedKind, At: alert.Timestamp(), Alert: copyOf(alert)})
}

// incomplete reports whether an alert of a rule may lack events: agents of a
// partition that was not waited for, or matches that were cut.
func (s *Session) incomplete(r *Rule) bool {
	at := s.cutAt[r.number]
	return s.view != nil && s.view.Partial || at != 0 && s.now-at <= int64(r.LookBack())
}

// Judge implements fleet.Across.
func (w *FleetWide) Judge(end int64, step *fleet.Step, v *fleet.View) []fleet.Finding {
	s := w.session
	s.view, s.emit = v, w.raise
	if end > s.now {
		s.advance(end)
	}
	for i := range step.Matches {
		w.take(&step.Matches[i])
	}
	for rule, n := range step.Cut {
		if number, ok := w.numbers[rule]; ok {
			s.counters[number].Cut += uint64(n)
			s.cutAt[number] = end
		}
	}
	s.account.WeighUsed()
	if s.maxState > 0 && s.account.Bytes > s.maxState {
		s.relieve()
	}
	if len(s.shortages.pending) > 0 {
		s.shortages.raisePending()
	}
	s.Publish()
	s.emit = nil
	v.SetIncidents(w.Incidents())
	raised := w.raised
	w.raised = nil
	return raised
}

// take gives a match to the state of its rule.
func (w *FleetWide) take(m *fleet.Match) {
	s := w.session
	number, ok := w.numbers[m.Rule]
	if !ok {
		return // Of a gateway that has other rules, or from before a reload.
	}
	if m.Slot >= memberBegan {
		if st := s.rollups[number]; st != nil {
			st.takeMember(m)
		}
		return
	}
	fillMatch(w.doc, m)
	at := min(m.At, s.now)
	ev := &s.evaluation
	s.judged++
	*ev = Evaluation{Event: w.doc, Now: s.now, At: at, Late: at < s.now-s.lateness, Entity: s.entities.resolve(w.doc, s.now), Number: s.judged, match: m}
	s.env.Event = w.doc
	if w.takeForHost(number, m) {
		return
	}
	s.states[number].Observe(m.Slot, ev)
	if last := min(m.Last, s.now); last > at {
		ev.At, ev.Late = last, last < s.now-s.lateness
		s.states[number].Observe(m.Slot, ev)
	}
	s.env.Failed = false
}

// takeForHost gives what happened to a host, of which the record names no agent, to
// the agents on it that the rule has to do with: they are known from another topic.
func (w *FleetWide) takeForHost(number int, m *fleet.Match) (taken bool) {
	s, e := w.session, w.doc
	if !s.set.rules[number].ByEntity() || e.Has(ecs.EDREntityID) || e.Has(ecs.AgentID) || e.Has(ecs.AgentType) {
		return false
	}
	for n := s.entities.hosts[string(s.entities.hostOf(e))]; n != nil; n = n.neighbor {
		s.evaluation.Entity = n
		s.states[number].Observe(m.Slot, &s.evaluation)
		taken = true
	}
	return taken
}

// AppendSnapshot implements fleet.Across.
func (w *FleetWide) AppendSnapshot(to []byte) []byte {
	to, _ = w.session.AppendSnapshot(to)
	return to
}

// Restore implements fleet.Across.
func (w *FleetWide) Restore(snapshot []byte) error {
	if len(snapshot) == 0 {
		return errors.New("expected a snapshot, found nothing")
	}
	quiet, misses := w.session.isCanary, w.session.nearMisses
	w.session.Close()
	w.begin(w.session.set, quiet)
	w.session.nearMisses = misses
	return w.session.Restore(snapshot)
}

// copyOf is an alert that outlives its writer.
func copyOf(alert *event.Event) *event.Event {
	e := event.New(alert.Dictionary())
	for id, v := range alert.Fields {
		switch items := v.List(); {
		case items != nil:
			kept := make([]string, len(items))
			for i := range items {
				kept[i] = strings.Clone(items[i])
			}
			e.Set(id, event.StringList(kept))
		case v.Kind() == ecs.JSON:
			e.Set(id, event.JSON(strings.Clone(v.Str())))
		case v.Kind() == ecs.String:
			e.Set(id, event.String(strings.Clone(v.Str())))
		default:
			e.Set(id, *v)
		}
	}
	return e
}

// AgentsNeeded is how many agents it takes where so many are alive; 0 for a rule
// that does not count values.
func (r *Rule) AgentsNeeded(live int64) int64 {
	if p, ok := r.plan.(SharePlan); ok {
		return p.AgentsNeeded(live)
	}
	return 0
}

// Alive is how many agents of a product and an OS are alive, as the whole fleet
// was at the closing of the step; "" for all.
func (rs *RuleSession) Alive(product, os string) int {
	if rs.s.view == nil {
		return 0
	}
	return rs.s.view.Alive(product, os)
}

// Unsettled is how many agents there may be while the fleet is being learned; 0
// once it is.
func (rs *RuleSession) Unsettled() int {
	if rs.s.view == nil {
		return 0
	}
	return rs.s.view.Unsettled()
}

// Lag is how much later than other rules one about the whole fleet may raise an
// alert: up to the end of the step.
func (r *Rule) Lag() time.Duration {
	if r.FleetWide() || r.rollup != nil {
		return time.Duration(fleet.StepLength)
	}
	return 0
}
