package engine

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// A rule about the whole fleet is evaluated in the partition that an event is
// in, and judged where all partitions meet: at the closing of a step. In between
// travels a match, with the fields of the event that the rule needs.

// identityFields say who an event is about; every match carries them.
func identityFields() []ecs.ID {
	return []ecs.ID{
		ecs.EDREntityID, ecs.AgentID, ecs.AgentType, ecs.AgentVersion, ecs.HostName, ecs.HostID, ecs.HostType, ecs.HostOSType,
		ecs.EDRSite, ecs.EDRRolloutRing, ecs.EDRContentVersion, ecs.EDRContentChannel, ecs.EventID,
	}
}

// carried is a field that the matches of a rule carry.
type carried struct {
	id  ecs.ID
	own bool // The rule itself looks at it: it is what the event says, and nothing else.
}

// matchFields are the fields that a match of the rule carries, in ascending
// order.
func (r *Rule) matchFields(reads []ecs.ID) []carried {
	list := slices.Clone(reads)
	add := func(x *expression.Expression) {
		if x != nil {
			list = append(list, x.Fields()...)
		}
	}
	for _, h := range r.plan.Hooks() {
		add(h.X)
	}
	for _, overrides := range [][]Override{r.severities, r.risks} {
		for i := range overrides {
			add(overrides[i].When)
		}
	}
	for i := range r.groupBy {
		if !r.groupBy[i].entity {
			list = append(list, r.groupBy[i].field)
		}
	}
	all := make([]carried, 0, len(list))
	for _, id := range list {
		all = append(all, carried{id, true})
	}
	for _, id := range identityFields() {
		if !slices.Contains(list, id) {
			all = append(all, carried{id: id})
		}
	}
	slices.SortFunc(all, func(a, b carried) int { return cmp.Compare(a.id, b.id) })
	return slices.DeleteFunc(slices.Compact(all), func(c carried) bool { return c.id == ecs.Timestamp })
}

// DistinctPlan is a plan that counts different values: of the matches of one agent
// with the same value within a step one is enough.
type DistinctPlan interface {
	Plan
	// Distinct is the value of an event, "" where every event counts; false: the
	// event has none and does not count.
	Distinct(m *Evaluation) (value string, counts bool)
}

// forward tells of an event that satisfies a condition of a rule about the whole
// fleet.
func (s *Session) forward(h *boundHook, m *Evaluation) {
	r := s.set.rules[h.rule]
	if m.Late && !h.TakesLate {
		s.counters[h.rule].Late++
		return
	}
	key, lacking := s.appendGroupKey(s.key[:0], r, m)
	if s.key = key; lacking != nil {
		s.counters[h.rule].NoKey++
		return
	}
	value := ""
	if plan, ok := r.plan.(DistinctPlan); ok {
		var counts bool
		if value, counts = plan.Distinct(m); !counts {
			return
		}
		if value != "" {
			value = string(key) + "\x00" + value
		}
	}
	if !h.Unexcepted && (h.Role != "reading" || h.X.Eval(&s.env) == expression.True) {
		s.mark(m, r)
	}
	if s.fleet == nil || s.costs != nil && s.costs[r.number].tripped {
		return
	}
	s.fleet.shard.AddMatch(fleet.Match{
		Rule: r.section(), Slot: h.Slot, At: m.At, Last: m.At, Entity: whoOf(m), Value: value, Fields: fieldsOf(r.carries, m),
	})
}

// whoOf names the agent of an event equally in all partitions.
func whoOf(m *Evaluation) string {
	if id := m.Event.Str(ecs.EDREntityID); id != "" {
		return strings.Clone(id)
	}
	if m.Entity != nil {
		return m.Entity.Key
	}
	return ""
}

// fieldsOf copies fields of an event. What it does not say about its agent is
// what its partition knows.
func fieldsOf(carries []carried, m *Evaluation) []fleet.MatchField {
	list := make([]fleet.MatchField, 0, len(carries)/2)
	dict := m.Event.Dictionary()
	for _, c := range carries {
		name := dict.Field(c.id).Name
		v := m.Event.Get(c.id)
		if v == nil {
			if c.own {
				continue
			}
			if known := known(m.Entity, c.id); known != "" {
				list = append(list, fleet.MatchField{Name: name, Kind: uint8(ecs.String), Texts: []string{known}})
			}
			continue
		}
		f := fleet.MatchField{Name: name, Kind: uint8(v.Kind())}
		switch items := v.List(); {
		case v.Kind() == ecs.JSON:
			continue
		case v.Kind() != ecs.String:
			f.Number = v.Bits()
		case items != nil:
			f.List = true
			for _, text := range items {
				f.Texts = append(f.Texts, strings.Clone(text))
			}
		default:
			f.Texts = []string{strings.Clone(v.Str())}
		}
		list = append(list, f)
	}
	return list
}

// known is what a session knows of an agent.
func known(n *Entity, id ecs.ID) string {
	if n == nil {
		return ""
	}
	switch id {
	case ecs.AgentID:
		return n.ID
	case ecs.AgentType:
		return n.Type
	case ecs.AgentVersion:
		return n.Version
	case ecs.HostName:
		return n.HostName
	case ecs.HostID:
		return n.HostID
	case ecs.HostType:
		return n.HostType
	case ecs.HostOSType:
		return n.OSType
	case ecs.EDRSite:
		return n.Site
	case ecs.EDRRolloutRing:
		return n.Ring
	case ecs.EDRContentVersion:
		return n.Content
	}
	return ""
}

// fillMatch makes an event of what a match carries.
func fillMatch(e *event.Event, m *fleet.Match) {
	e.Reset()
	dict := e.Dictionary()
	e.Set(ecs.Timestamp, event.Time(m.At))
	for i := range m.Fields {
		f := &m.Fields[i]
		id, ok := dict.Lookup(f.Name)
		kind := ecs.Kind(f.Kind)
		if !ok || dict.Field(id).Kind != kind && !(dict.Field(id).Kind == ecs.Float && kind == ecs.Int) {
			continue // A gateway with other fields.
		}
		switch {
		case kind != ecs.String:
			e.Set(id, event.Scalar(kind, f.Number))
		case f.List:
			e.Set(id, event.StringList(f.Texts))
		case len(f.Texts) == 1:
			e.Set(id, event.String(f.Texts[0]))
		}
	}
}

// Distinction tells an event from others of its key and time in the ids of
// alerts: its id, or of a rule about the whole fleet its content, which does not
// say in which partition it was.
func (m *Evaluation) Distinction() string {
	if m.match == nil {
		return m.Event.Str(ecs.EventID)
	}
	parts := []string{m.match.Entity}
	for i := range m.match.Fields {
		f := &m.match.Fields[i]
		if f.Name != fleet.MatchEventID {
			parts = append(parts, f.Name, strconv.FormatUint(f.Number, 36), strings.Join(f.Texts, "\x00"))
		}
	}
	return event.HashID(parts...)
}
