package rules

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// rollupKeys fold a storm of one rule's alerts into one incident: one document
// with a denominator that grows, while the alerts of single agents go on as
// information that names it as their parent.
type rollupKeys struct {
	By     []string      `yaml:"by"`            // What the agents have in common; empty: all together.
	Over   int           `yaml:"over,required"` // Agents from which on it is one incident.
	Within time.Duration `yaml:"within,required"`
}

// rollupNames are the fields that an incident can be about: what a session
// remembers of an agent.
func rollupNames() []string {
	return []string{"agent.type", "agent.version", "edr.content.version", "host.os.type", "host.type"}
}

// rollupFields read what rollupNames names.
func rollupFields() map[string]func(n *entity) string {
	return map[string]func(n *entity) string{
		"agent.type":          func(n *entity) string { return n.Type },
		"agent.version":       func(n *entity) string { return n.Version },
		"edr.content.version": func(n *entity) string { return n.Content },
		"host.os.type":        func(n *entity) string { return n.OSType },
		"host.type":           func(n *entity) string { return n.HostType },
	}
}

func checkRollup(c *checker, h *Header) {
	k := h.Rollup
	if k == nil {
		return
	}
	c.positive("rollup.within", k.Within, false)
	if k.Over < 2 || k.Over > 100_000 {
		c.problem("rollup.over", fmt.Sprintf("over is %d agents, expected 2 to 100000", k.Over), "")
	}
	known := rollupNames()
	for _, name := range k.By {
		if !slices.Contains(known, name) {
			hint := "an incident can be by " + strings.Join(known, ", ")
			if near, ok := strict.Nearest(name, known); ok {
				hint = fmt.Sprintf("did you mean %q? %s", near, hint)
			}
			c.problem("rollup.by", fmt.Sprintf("%q is nothing that agents can be rolled up by", name), hint)
		}
	}
	if h.GroupBy != nil && !slices.Contains(*h.GroupBy, "entity") {
		c.problem("rollup", "rollup folds alerts about single agents, and group_by has no entity", "add entity to group_by, or count over many agents with type: value_count")
	}
}

// rollupPlan is a compiled rollup.
type rollupPlan struct {
	names  []string
	values []func(n *entity) string
	over   int
	within int64
}

func newRollupPlan(k *rollupKeys) *rollupPlan {
	if k == nil {
		return nil
	}
	p := &rollupPlan{names: k.By, over: k.Over, within: int64(k.Within)}
	for _, name := range k.By {
		p.values = append(p.values, rollupFields()[name])
	}
	return p
}

// group is what the incident of an agent is about.
func (p *rollupPlan) group(n *entity) string {
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
	ends   int64 // When the first incident is looked at; math.MaxInt64: none is open.
}

// incident is a group of agents about which the rule alerts, many at a time or
// not.
type incident struct {
	episode
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
}

func newRollupState(s *Session, r *Rule) *rollupState {
	return &rollupState{s: s, r: r, p: r.rollup, groups: make(map[string]*incident), ends: math.MaxInt64}
}

func (st *rollupState) keys() (int, uint64) { return len(st.groups), 0 }
func (st *rollupState) next() int64         { return st.ends }

// fold looks at a document that is about to be written and returns the incident
// that it belongs to; "" for none.
func (st *rollupState) fold(ep *episode, a *alert) (parent string) {
	if ep.sequence > 0 || a.status != "firing" {
		for _, in := range st.groups { // The agent may have come to belong to another.
			if in.open && in.members[a.key].id == ep.id {
				in.folded++
				return in.id
			}
		}
		return ""
	}
	group := st.p.group(a.entity)
	in := st.groups[group]
	if in == nil {
		in = &incident{group: strings.Clone(group)}
		st.groups[in.group] = in
	}
	member := rollupMember{key: strings.Clone(a.key), id: ep.id, host: strings.Clone(hostOf(a)), at: a.at, start: ep.start}
	in.last = a.at
	if !in.open {
		in.began = slices.DeleteFunc(in.began, func(m rollupMember) bool { return m.at <= a.at-st.p.within || m.key == member.key })
		in.began = append(in.began, member)
		if len(in.began) < st.p.over || in.different() < st.p.over {
			return ""
		}
		st.begin(in, a)
		return in.id
	}
	in.add(member)
	in.folded++
	ep.severity, ep.risk = "info", 10
	if len(in.names) >= in.told+max(in.told/4, 1) && a.at-in.said >= int64(time.Minute) {
		st.say(in, a.at, "firing")
	}
	return in.id
}

// hostOf names whom an alert is about.
func hostOf(a *alert) string {
	if a.entity != nil {
		return a.entity.name()
	}
	return a.key
}

// different is the number of agents whose alerts began of late.
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
	if len(in.ids) < maxListed {
		in.ids = append(in.ids, m.id)
	}
	if !in.names[m.host] && len(in.hosts) < maxHosts {
		in.hosts = append(in.hosts, m.host)
	}
	in.names[m.host] = true
}

// count looks which alerts of the members have not ended.
func (st *rollupState) count(in *incident) {
	in.firing = 0
	st.s.states[st.r.number].open(func(o openAlert) {
		if m, ok := in.members[o.key]; ok && m.id == o.episode.id {
			in.firing++
		}
	})
}

// begin opens an incident with the members of late.
func (st *rollupState) begin(in *incident, a *alert) {
	start := in.began[0].start
	for _, m := range in.began {
		start = min(start, m.start)
	}
	in.episode = begin(st.r, in.group, start, "rollup "+strconv.FormatInt(a.at, 10))
	in.severity, in.risk = st.r.weigh(a.source)
	in.open, in.members, in.names, in.folded = true, make(map[string]rollupMember), make(map[string]bool), 0
	for _, m := range in.began {
		in.add(m)
	}
	in.began = nil
	in.due = a.at + st.p.within
	st.wake()
	st.say(in, a.at, "firing")
}

// say writes a document of an incident.
func (st *rollupState) say(in *incident, at int64, status string) {
	n := int64(len(in.names))
	in.count, in.said, in.told = n, at, len(in.names)
	all := st.s.entities.alike(func(e *entity) bool { return st.p.group(e) == in.group }, at)
	all = max(all, n)
	about := "agents"
	for i, value := range strings.Split(in.group, " | ") {
		if i < len(st.p.names) {
			about += fmt.Sprintf(" with %s %q", st.p.names[i], value)
		}
	}
	reason := fmt.Sprintf("%s of %s %s (%s), one after the other within %s", grouped(n), grouped(all), about, share(n, all), duration(st.p.within))
	if status == "resolved" {
		reason = fmt.Sprintf("no further alert for %s; there were alerts about %s of %s %s (%s), of which %s still fire", duration(st.p.within),
			grouped(n), grouped(all), about, share(n, all), grouped(int64(in.firing)))
	}
	document := &alert{
		at: at, end: max(in.last, in.start), status: status, key: in.group, scope: st.scope(), incident: true, denominator: all,
		hosts: slices.Clone(in.hosts), hostsTotal: len(in.names), reason: reason,
		evidence: []pair{
			{"rollup", "true"}, {"by", jsonList(st.p.names)}, number("over", int64(st.p.over)), text("within", duration(st.p.within)),
			number("agents", n), {"alert_ids", jsonList(in.ids)}, number("alert_ids_total", int64(len(in.members))), number("documents_folded", in.folded),
		},
	}
	if i := slices.Index(st.p.names, "agent.type"); i >= 0 {
		document.agentType = strings.Split(in.group, " | ")[i]
	}
	st.s.raise(st.r, &in.episode, document)
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

// fire ends an incident to which nothing was added for a while and of which
// most is over.
func (st *rollupState) fire(due int64) {
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
	return r.plan.traits().endless
}

// alike counts the agents that have been heard of late and fit.
func (t *entities) alike(fits func(*entity) bool, now int64) (n int64) {
	for e := range t.known.all() {
		if now-e.data.LastSeen < int64(24*time.Hour) && fits(e.data) {
			n++
		}
	}
	return n
}
