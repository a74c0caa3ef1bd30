package expression

import (
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Op is the relation of an atom.
type Op uint8

// The relations, from the most to the least selective.
const (
	Equal   Op = iota // The field is, or contains, Text.
	Prefix            // The field, or one of its values, begins with Text.
	AtLeast           // The field is a number and Number or more.
	AtMost            // The field is a number and Number or less.
	Present           // The field is there.
)

// Atom is a fact about one field that an index can find quickly.
type Atom struct {
	Field  ecs.ID
	Op     Op
	Text   string
	Number float64
}

// Holds reports whether the atom is true of the event.
func (a *Atom) Holds(e *event.Event) bool {
	v := e.Get(a.Field)
	if v == nil {
		return false
	}
	switch a.Op {
	case Equal:
		return v.Contains(a.Text)
	case Prefix:
		if list := v.List(); list != nil {
			return slices.ContainsFunc(list, func(s string) bool { return strings.HasPrefix(s, a.Text) })
		}
		return strings.HasPrefix(v.Str(), a.Text)
	case AtLeast:
		return v.Float() >= a.Number
	case AtMost:
		return v.Float() <= a.Number
	default: // Present.
		return true
	}
}

// Alternative is a set of atoms of which at least one holds whenever the
// expression has the value in question.
type Alternative []Atom

// Bounds of what is kept: more alternatives hardly make a better choice, and
// a wide one is no better than none.
const (
	maxAlternatives = 12
	maxAtoms        = 256
)

// Cost estimates the share of events for which one of the atoms holds, for the
// choice between alternatives: lower is better. The figures are priors over
// what agents send, not measurements.
func (a Alternative) Cost() float64 {
	cost := 0.0
	for _, atom := range a {
		switch atom.Op {
		case Equal:
			cost += equalCost(atom.Field)
		case Prefix:
			cost += 2 * equalCost(atom.Field)
		case AtLeast, AtMost:
			cost += 0.4
		case Present:
			cost += presentCost(atom.Field)
		}
	}
	return cost
}

func equalCost(id ecs.ID) float64 {
	switch id {
	case ecs.EventAction, ecs.EventCode:
		return 0.03
	case ecs.HostOSType, ecs.AgentType, ecs.EventKind, ecs.EventOutcome, ecs.EventModule, ecs.EventCategory, ecs.EventType:
		return 0.35
	}
	return 0.05
}

func presentCost(id ecs.ID) float64 {
	switch id {
	case ecs.Timestamp, ecs.EventAction, ecs.EventKind, ecs.EventCategory, ecs.EventType, ecs.EcsVersion:
		return 1
	case ecs.AgentID, ecs.AgentType, ecs.AgentVersion, ecs.HostName, ecs.HostID, ecs.HostOSType, ecs.EventModule, ecs.EventDataset:
		return 0.8
	}
	return 0.5
}

// best returns the cheapest alternative.
func best(list []Alternative) (Alternative, bool) {
	if len(list) == 0 {
		return nil, false
	}
	return slices.MinFunc(list, func(a, b Alternative) int {
		switch ca, cb := a.Cost(), b.Cost(); {
		case ca < cb:
			return -1
		case ca > cb:
			return 1
		}
		return 0
	}), true
}

// both returns the alternatives of a conjunction: those of either side.
func both(a, b []Alternative) []Alternative {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(a, b Alternative) int {
		switch ca, cb := a.Cost(), b.Cost(); {
		case ca < cb:
			return -1
		case ca > cb:
			return 1
		}
		return 0
	})
	return all[:min(len(all), maxAlternatives)]
}

// either returns the alternative of a disjunction: the best of both sides
// together, if both have one.
func either(a, b []Alternative) []Alternative {
	left, ok := best(a)
	right, also := best(b)
	if !ok || !also || len(left)+len(right) > maxAtoms {
		return nil
	}
	union := slices.Clone(left)
	for _, atom := range right {
		if !slices.Contains(union, atom) {
			union = append(union, atom)
		}
	}
	return []Alternative{union}
}

// presence returns one alternative for each field that must be there.
func presence(ids []ecs.ID) []Alternative {
	list := make([]Alternative, 0, len(ids))
	for _, id := range ids {
		list = append(list, Alternative{{Field: id, Op: Present}})
	}
	return list
}
