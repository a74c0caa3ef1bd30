package engine

import (
	"github.com/edrwatch/edrwatch/rules/internal/table"
)

// OpenAlert is an alert that has begun and not ended.
type OpenAlert struct {
	Episode  *Episode
	Key      string
	Entity   *Entity
	Hosts    []string
	incident bool // Of a rollup.
	Scope    string
}

// resolveRemoved ends the open alerts of a rule that goes: nobody else would, and
// they would stay open downstream for ever.
func (s *Session) resolveRemoved(place int, why string) {
	r := s.set.rules[place]
	end := func(o OpenAlert) { s.resolveUnknown(r, o, why) }
	s.states[place].OpenAlerts(end)
	if fold := s.rollups[place]; fold != nil {
		fold.OpenAlerts(end)
	}
	s.shortages.endShortage(place, end)
}

// resolveUnknown ends an alert about which nothing will be known any more.
func (s *Session) resolveUnknown(r *Rule, o OpenAlert, why string) {
	if o.Episode.severity == "" {
		return // It was never written.
	}
	s.raise(r, o.Episode, &Alert{
		At: s.now, Status: "resolved", Key: o.Key, Entity: o.Entity, Hosts: o.Hosts, HostsTotal: len(o.Hosts),
		incident: o.incident, Scope: o.Scope, Reason: why, Evidence: []Evidence{{"withdrawn", "true"}},
	})
}

// OpenAlertsIn calls end for the open alerts of all keys.
func OpenAlertsIn[T any, M memory[T]](k *table.Keyed[T], r *Rule, end func(OpenAlert)) {
	for e := range k.All() {
		M(&e.Data).OpenAlerts(end, e.Key, r)
	}
}
