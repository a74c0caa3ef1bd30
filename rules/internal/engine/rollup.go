package engine

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

func (st *rollupState) Rebind(r *Rule) { st.r = r }

// rollupFields read what rollupNames names.
func rollupFields() map[string]func(n *Entity) string {
	return map[string]func(n *Entity) string{
		"agent.type":          func(n *Entity) string { return n.Type },
		"agent.version":       func(n *Entity) string { return n.Version },
		"edr.content.version": func(n *Entity) string { return n.Content },
		"host.os.type":        func(n *Entity) string { return n.OSType },
		"host.type":           func(n *Entity) string { return n.HostType },
	}
}

// rollupPlan is a compiled rollup.
type rollupPlan struct {
	names  []string
	values []func(n *Entity) string
	over   int
	within int64

	percent float64 // 0: over says how many.
	min     int
}

func newRollupPlan(k *spec.Rollup) *rollupPlan {
	if k == nil {
		return nil
	}
	p := &rollupPlan{names: k.By, over: k.Over, within: int64(k.Within)}
	if k.Percent != nil && k.Min != nil {
		p.percent, p.min = *k.Percent, *k.Min
	}
	for _, name := range k.By {
		p.values = append(p.values, rollupFields()[name])
	}
	return p
}

// uncounted reports whether the fleet does not count agents by all that a group
// has in common: versions are no strata.
func (p *rollupPlan) uncounted() bool {
	return slices.ContainsFunc(p.names, func(name string) bool { return strings.HasSuffix(name, ".version") })
}

// group is what the incident of an agent is about.
func (p *rollupPlan) group(n *Entity) string {
	parts := make([]string, len(p.values))
	for i, value := range p.values {
		if n != nil {
			parts[i] = value(n)
		}
	}
	return strings.Join(parts, " | ")
}

// rollupState holds the incidents of one rule.
type rollupState struct {
	noState
	s      *Session
	r      *Rule
	p      *rollupPlan
	groups map[string]*incident
	former bool  // It reads what an earlier release wrote.
	ends   int64 // When the first incident is looked at; math.MaxInt64: none is open.
}

// incident is a group of agents about which the rule alerts, many at a time or
// not.
type incident struct {
	Episode
	group   string
	open    bool
	began   []rollupMember          // Members that are not older than within.
	members map[string]rollupMember // While open, by key.
	ids     []string                // edr.alert.id of some members.
	hosts   []string                // Names of some members.
	names   map[string]bool         // Of all members, which tell agents apart; while open.
	firing  int                     // Alerts of members that had not ended when it was last looked at.
	folded  int64                   // Documents of members since it is open.
	last    int64                   // Clock when the last member began.
	said    int64                   // Clock of its last document.
	told    int                     // Members then.
	due     int64
}

// rollupMember is the alert of one agent.
type rollupMember struct {
	key, id, host string
	at, start     int64
	ended         bool
}

func newRollupState(s *Session, r *Rule) *rollupState {
	return &rollupState{s: s, r: r, p: r.rollup, groups: make(map[string]*incident), ends: math.MaxInt64}
}

func (st *rollupState) KeyCount() (int, uint64) { return len(st.groups), 0 }

func (st *rollupState) Next() int64 { return st.ends }

// hostOf names whom an alert is about.
func hostOf(a *Alert) string {
	if a.Entity != nil {
		return a.Entity.HostLabel()
	}
	return a.Key
}

// different is the number of agents whose alerts began within the rollup's window.
func (in *incident) different() int {
	names := make(map[string]bool, len(in.began))
	for i := range in.began {
		names[in.began[i].host] = true
	}
	return len(names)
}

// add takes a member in, or its next episode.
func (in *incident) add(m rollupMember) {
	in.members[m.key] = m
	if len(in.ids) < wording.MaxListed {
		in.ids = append(in.ids, m.id)
	}
	if !in.names[m.host] && len(in.hosts) < MaxHosts {
		in.hosts = append(in.hosts, m.host)
	}
	in.names[m.host] = true
}

// sayEvery is the least time between two documents of an incident that grows.
const sayEvery = int64(time.Minute)

// count looks which alerts of the members have not ended.
func (st *rollupState) count(in *incident) {
	in.firing = 0
	for _, m := range in.members {
		if !m.ended {
			in.firing++
		}
	}
}

// begin opens an incident with the members whose alerts began within its window.
func (st *rollupState) begin(in *incident, severity string, risk float64, now int64) {
	slices.SortFunc(in.began, compareMembers)
	start := in.began[0].start
	for _, m := range in.began {
		start = min(start, m.start)
	}
	in.Episode = BeginEpisode(st.r, in.group, start, "rollup "+strconv.FormatInt(now, 10))
	in.severity, in.risk = severity, risk
	in.open, in.members, in.names, in.folded = true, make(map[string]rollupMember), make(map[string]bool), 0
	for _, m := range in.began {
		in.add(m)
	}
	in.began = nil
	in.due = now + st.p.within
	st.wake()
	st.say(in, now, "firing")
}

// say writes a document of an incident.
func (st *rollupState) say(in *incident, at int64, status string) {
	n := int64(len(in.names))
	in.Count, in.said, in.told = n, at, len(in.names)
	all := max(int64(st.known(in.group)), n)
	about := "agents"
	for i, value := range strings.Split(in.group, " | ") {
		if i < len(st.p.names) {
			about += fmt.Sprintf(" with %s %q", st.p.names[i], value)
		}
	}
	who := fmt.Sprintf("%s of %s %s (%s)", wording.Grouped(n), wording.Grouped(all), about, wording.Share(n, all))
	if st.p.uncounted() {
		who = fmt.Sprintf("%s %s, in a fleet of %s", wording.Grouped(n), about, wording.Grouped(all))
	}
	reason := fmt.Sprintf("%s, one after the other within %s", who, wording.Duration(st.p.within))
	if status == "resolved" {
		reason = fmt.Sprintf("no further alert for %s; there were alerts about %s, of which %s still fire", wording.Duration(st.p.within), who, wording.Grouped(int64(in.firing)))
	}
	document := &Alert{
		At: at, End: max(in.last, in.Start), Status: status, Key: in.group, Scope: st.scope(), incident: true, Denominator: all,
		Hosts: slices.Clone(in.hosts), HostsTotal: len(in.names), Reason: reason,
		Evidence: []Evidence{
			{"rollup", "true"}, {"by", wording.JSONList(st.p.names)}, Number("over", int64(st.needed(in.group))), Text("within", wording.Duration(st.p.within)),
			Number("agents", n), {"alert_ids", wording.JSONList(in.ids)}, Number("alert_ids_total", int64(len(in.members))), Number("documents_folded", in.folded),
		},
	}
	if i := slices.Index(st.p.names, "agent.type"); i >= 0 {
		document.AgentType = strings.Split(in.group, " | ")[i]
	}
	st.s.raise(st.r, &in.Episode, document)
}

// scope is that of an incident.
func (st *rollupState) scope() string {
	if len(st.p.names) == 0 {
		return "fleet"
	}
	return "cohort"
}

// wake finds when the first incident is to be looked at.
func (st *rollupState) wake() {
	st.ends = math.MaxInt64
	for _, in := range st.groups {
		if in.open {
			st.ends = min(st.ends, in.due)
		}
	}
	st.s.wakeAt(st.ends)
}

// Fire ends an incident to which nothing was added for a while and of which
// most is over.
func (st *rollupState) Fire(due int64) {
	for _, group := range slices.Sorted(maps.Keys(st.groups)) {
		in := st.groups[group]
		if !in.open || in.due != due {
			continue
		}
		quiet := in.last + st.p.within
		if quiet <= due {
			st.count(in)
		}
		switch {
		case quiet > due:
			in.due = quiet
		case st.r.endless() || 2*in.firing < len(in.members):
			st.say(in, due, "resolved")
			delete(st.groups, group)
		default:
			in.due = due + st.p.within
		}
		break
	}
	st.wake()
}

// endless reports whether alerts of the rule have no end of their own.
func (r *Rule) endless() bool {
	if r.keepFiring > 0 || r.suppress > 0 {
		return false
	}
	return r.plan.Traits().Endless
}

func (st *rollupState) OpenAlerts(end func(OpenAlert)) {
	for _, group := range slices.Sorted(maps.Keys(st.groups)) {
		if in := st.groups[group]; in.open {
			end(OpenAlert{Episode: &in.Episode, Key: in.group, Hosts: in.hosts, incident: true, Scope: st.scope()})
		}
	}
}
