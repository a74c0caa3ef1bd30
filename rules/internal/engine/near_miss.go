package engine

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// NearMiss tells how near a rule came to an alert that it did not raise.
type NearMiss struct {
	Rule *Rule
	// Stage is how far it came; of two misses the one of the later stage is
	// nearer.
	Stage NearMissStage
	Key   string // group_by of the event; "" where it has none.
	At    int64  // Event time in nanoseconds since 1970; of silence the clock.
	// Nearness is between 0 and 1, within a stage: the share of the condition's
	// parts that were true, or of the bound that was reached.
	Nearness float64
	Measure  string  // What Value and Bound are: events, steps, seconds, …; "" without.
	Value    float64 // The most that was reached.
	Bound    float64 // What it would have taken.
	Reason   string  // In words.
	Until    int64   // For how long what is missing was waited for; 0: not at all.
	Clauses  []Term  // Of stage condition: the parts of the condition with their values.
}

// NearMissStage is a step on an event's way to an alert.
type NearMissStage int

const (
	MissedCondition NearMissStage = iota // The condition was not true.
	MissedEntry                          // It was true, and the event was not taken in: too late, no key, an exception, a field missing.
	MissedBound                          // It was taken in, and was not enough.
)

// String is the stage as programs read it.
func (s NearMissStage) String() string {
	return [...]string{"condition", "entry", "bound"}[s]
}

// Text is the miss in a sentence; clock writes times.
func (m *NearMiss) Text(clock func(ns int64) string) string {
	who := m.Key
	switch {
	case m.Stage == MissedCondition:
		who += ":"
	case who == "" && m.Stage == MissedBound:
		who = "the fleet" // group_by: [] is one key.
	case who == "":
		who = "an event"
	}
	if who != ":" {
		who = ", " + who
	}
	said := "at " + clock(m.At) + who + " " + m.Reason
	if m.Until != 0 {
		said += " until " + clock(m.Until)
	}
	return said
}

// MarshalJSON writes the miss for programs. Times are RFC 3339.
func (m *NearMiss) MarshalJSON() ([]byte, error) {
	out := struct {
		RuleID   string   `json:"rule_id"`
		Rule     string   `json:"rule"`
		Stage    string   `json:"stage"`
		Key      string   `json:"key,omitempty"`
		Time     string   `json:"time"`
		Nearness float64  `json:"nearness"`
		Measure  string   `json:"measure,omitempty"`
		Value    *float64 `json:"value,omitempty"`
		Bound    *float64 `json:"bound,omitempty"`
		Reason   string   `json:"reason"`
		Until    string   `json:"until,omitempty"`
		Clauses  []Term   `json:"clauses,omitempty"`
	}{
		RuleID: m.Rule.ID, Rule: m.Rule.Name, Stage: m.Stage.String(), Key: m.Key, Time: wording.TimeText(m.At), Nearness: m.Nearness,
		Measure: m.Measure, Reason: m.Reason, Clauses: m.Clauses,
	}
	if m.Measure != "" {
		out.Value, out.Bound = &m.Value, &m.Bound
	}
	if m.Until != 0 {
		out.Until = wording.TimeText(m.Until)
	}
	return json.Marshal(out)
}

// compareMisses orders misses, the nearest first; of equally near ones the
// earliest, and then by key.
func compareMisses(a, b *NearMiss) int {
	return cmp.Or(cmp.Compare(b.Stage, a.Stage), cmp.Compare(b.Nearness, a.Nearness), cmp.Compare(a.At, b.At), strings.Compare(a.Key, b.Key))
}

// NearMisses keeps the nearest miss of every key of every rule since the last alert
// of that key.
type NearMisses struct {
	wanted func(*Rule) bool
	byRule []map[string]*NearMiss
}

// maxMissed bounds the keys of a rule of which misses are kept; of more, the
// nearest half stays.
const maxMissed = 10_000

func newNearMisses(set *Ruleset, wanted func(*Rule) bool) *NearMisses {
	return &NearMisses{wanted: wanted, byRule: make([]map[string]*NearMiss, len(set.rules))}
}

// wants reports whether misses of a rule are looked for.
func (n *NearMisses) wants(r *Rule) bool { return n.wanted(r) }

// Offer keeps a miss that is nearer than the one before of its key.
func (n *NearMisses) Offer(miss NearMiss) {
	r := miss.Rule
	if !n.wants(r) {
		return
	}
	miss.Nearness = max(0, min(math.Round(miss.Nearness*1000)/1000, 0.999)) // What is reached is no miss.
	list := n.byRule[r.number]
	if list == nil {
		list = make(map[string]*NearMiss)
		n.byRule[r.number] = list
	}
	if old := list[miss.Key]; old != nil && compareMisses(old, &miss) <= 0 {
		return
	}
	miss.Key = strings.Clone(miss.Key)
	if list[miss.Key] = &miss; len(list) > maxMissed {
		n.halve(list)
	}
}

func (n *NearMisses) halve(list map[string]*NearMiss) {
	for _, m := range ranked(list)[maxMissed/2:] {
		delete(list, m.Key)
	}
}

// ranked lists misses, the nearest first.
func ranked(list map[string]*NearMiss) []*NearMiss {
	all := make([]*NearMiss, 0, len(list))
	for _, m := range list {
		all = append(all, m)
	}
	slices.SortFunc(all, compareMisses)
	return all
}

// fired forgets the misses of a key that has raised an alert.
func (n *NearMisses) fired(r *Rule, key string) { delete(n.byRule[r.number], key) }

// NearMisses returns the nearest misses of a rule since the last alerts of their
// keys, the nearest first; none in a session that was not asked for them.
func (s *Session) NearMisses(r *Rule, limit int) []*NearMiss {
	if s.nearMisses == nil {
		return nil
	}
	if s.nearMisses.wants(r) {
		s.offerOngoing(r)
	}
	list := ranked(s.nearMisses.byRule[r.number])
	return list[:min(len(list), limit)]
}

// offerOngoing asks the state of a rule, which another session may hold.
func (s *Session) offerOngoing(r *Rule) {
	if !r.FleetWide() || s.fleet == nil {
		s.states[r.number].OfferOngoing()
		return
	}
	s.fleet.fleet.UseAcross(func(a fleet.Across) fleet.Across {
		if w, ok := a.(*FleetWide); ok && w.session.set == s.set {
			w.session.states[r.number].OfferOngoing()
		}
		return a
	})
}
