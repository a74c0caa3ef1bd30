package engine

import (
	"cmp"
	"math"
	"strings"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// A partition raises the alerts about its agents, and tells at the closing of a
// step that they have begun or ended. Where partitions meet, incidents are made
// of them; which are open all partitions learn with the closing.

// What a match of a rule with rollup says, in place of a condition.
const (
	memberBegan = 200 + iota
	memberEnded
)

// Fields of such a match.
const (
	memberKey      = "key"
	memberID       = "id"
	memberHost     = "host"
	memberGroup    = "group"
	memberSeverity = "severity"
	memberRisk     = "risk"
	memberStart    = "start"
)

// foldInto looks at a document that is about to be written and returns the
// incident that it belongs to; "" for none.
func (s *Session) foldInto(r *Rule, ep *Episode, a *Alert) (parent string) {
	if s.fleet == nil {
		return ""
	}
	group := r.rollup.group(a.Entity)
	in, open := s.fleet.shard.Incidents().Open(r.section(), group)
	began := ep.Sequence == 0 && a.Status == "firing"
	if began || a.Status == "resolved" {
		s.tellMember(r, ep, a, group, began)
	}
	switch {
	case !open:
		return ""
	case began:
		ep.severity, ep.risk = "info", 10
		return in.ID
	case ep.Start >= in.Start || ep.severity == "info" && r.Severity != "info":
		return in.ID
	}
	return ""
}

// tellMember tells that the alert of an agent began or ended.
func (s *Session) tellMember(r *Rule, ep *Episode, a *Alert, group string, began bool) {
	m := fleet.Match{Rule: r.section(), Slot: memberEnded, At: a.At, Last: a.At}
	if a.Entity != nil {
		m.Entity = a.Entity.Key
	}
	text := func(name, value string) {
		m.Fields = append(m.Fields, fleet.MatchField{Name: name, Texts: []string{strings.Clone(value)}})
	}
	number := func(name string, bits uint64) {
		m.Fields = append(m.Fields, fleet.MatchField{Name: name, Number: bits})
	}
	text(memberKey, a.Key)
	text(memberID, ep.ID)
	if began {
		severity, risk := r.weigh(a.Source)
		m.Slot = memberBegan
		text(memberHost, hostOf(a))
		text(memberGroup, group)
		text(memberSeverity, severity)
		number(memberRisk, math.Float64bits(risk))
		number(memberStart, uint64(ep.Start))
	}
	s.fleet.shard.AddMatch(m)
}

// toldMember is what such a match says.
type toldMember struct {
	rollupMember
	group, severity string
	risk            float64
}

func memberOf(m *fleet.Match) (t toldMember) {
	t.at = m.At
	for i := range m.Fields {
		f := &m.Fields[i]
		text := ""
		if len(f.Texts) > 0 {
			text = f.Texts[0]
		}
		switch f.Name {
		case memberKey:
			t.key = text
		case memberID:
			t.id = text
		case memberHost:
			t.host = text
		case memberGroup:
			t.group = text
		case memberSeverity:
			t.severity = text
		case memberRisk:
			t.risk = math.Float64frombits(f.Number)
		case memberStart:
			t.start = int64(f.Number)
		}
	}
	return t
}

// needed is how many agents make an incident where so many are known.
func (p *rollupPlan) needed(known int) int {
	if p.percent == 0 {
		return p.over
	}
	return max(p.min, min(int(math.Ceil(p.percent*float64(known)/100-1e-9)), maxRollup))
}

// maxRollup is how many agents a share asks for at most.
const maxRollup = 10_000

// known is how many agents a group may have, alive or silent. What the fleet does
// not count by (versions) does not narrow it.
func (st *rollupState) known(group string) int {
	if st.s.view == nil {
		return 0
	}
	var of fleet.Stratum
	for i, value := range strings.Split(group, " | ") {
		if i >= len(st.p.names) {
			break
		}
		switch st.p.names[i] {
		case "agent.type":
			of.Product = value
		case "host.os.type":
			of.OS = value
		case "host.type":
			of.HostType = value
		}
	}
	return st.s.view.Known(of)
}

// Incidents implements fleet.Across.
func (w *FleetWide) Incidents() map[fleet.IncidentKey]fleet.OpenIncident {
	var open map[fleet.IncidentKey]fleet.OpenIncident
	for _, st := range w.session.rollups {
		if st == nil {
			continue
		}
		for group, in := range st.groups {
			if !in.open {
				continue
			}
			if open == nil {
				open = map[fleet.IncidentKey]fleet.OpenIncident{}
			}
			open[fleet.IncidentKey{Rule: st.r.section(), Group: group}] = fleet.OpenIncident{ID: in.ID, Start: in.Start}
		}
	}
	return open
}

// takeMember gives a match of a rule with rollup to its incidents.
func (st *rollupState) takeMember(m *fleet.Match) {
	told := memberOf(m)
	if m.Slot == memberEnded {
		for _, in := range st.groups {
			if member, ok := in.members[told.key]; ok && in.open && member.id == told.id {
				member.ended = true
				in.members[told.key] = member
				in.folded++
			}
			for i := range in.began {
				if in.began[i].key == told.key && in.began[i].id == told.id {
					in.began[i].ended = true
				}
			}
		}
		return
	}
	in := st.groups[told.group]
	if in == nil {
		in = &incident{group: told.group}
		st.groups[in.group] = in
	}
	member := told.rollupMember
	in.last = max(in.last, member.at)
	if !in.open {
		oldest := in.last - st.p.within
		for i := range in.began {
			if in.began[i].key == member.key {
				in.began[i].at = math.MinInt64 // Its next episode.
			}
		}
		in.began = append(in.began, member)
		kept := in.began[:0]
		for _, b := range in.began {
			if b.at > oldest {
				kept = append(kept, b)
			}
		}
		in.began = kept
		if needed := st.needed(in.group); len(in.began) >= needed && in.different() >= needed {
			st.begin(in, told.severity, told.risk, st.s.now)
		}
		return
	}
	in.add(member)
	in.folded++
	if len(in.names) >= in.told+max(in.told/4, 1) && st.s.now-in.said >= sayEvery {
		st.say(in, st.s.now, "firing")
	}
}

// needed is how many agents make an incident now.
func (st *rollupState) needed(group string) int {
	known := st.known(group)
	if st.s.view != nil {
		known = max(known, st.s.view.Unsettled())
	}
	return st.p.needed(known)
}

// compareMembers orders members by when they began, so that those that are named
// do not depend on partitions.
func compareMembers(a, b rollupMember) int {
	return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.key, b.key))
}
