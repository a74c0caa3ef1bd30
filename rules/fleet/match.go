package fleet

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Match is an event of one partition of which a condition of a rule about the
// whole fleet is true. It holds of the event what the rule needs, and no more.
type Match struct {
	Rule string // its id and the hash of its logic: a rule that judges otherwise is another one
	Slot int    // which of its conditions
	// At is the event's time, Last that of the last event that the match stands
	// for as well; both in nanoseconds since 1970.
	At, Last int64
	Entity   string // the agent; "" where the event names none
	// Value is what the rule counts of the event, with its key. Of matches of one
	// agent within StepLength that have the same one, one is reported; "": every match
	// counts.
	Value  string
	Fields []MatchField
}

// MatchField is a field of the event. Names rather than numbers: mapping files
// add fields of their own.
type MatchField struct {
	Name   string
	Kind   uint8  // of an ecs.Kind
	Number uint64 // of what is no text
	List   bool
	Texts  []string
}

// MatchEventID is the field that does not distinguish equal matches: it says
// where in which partition the event stood.
const MatchEventID = "event.id"

// Bounds of the matches that a step carries. MaxMatches is how many of one rule;
// those of the earliest events stay, so that it does not matter who cuts.
const (
	MaxMatches      = 8192
	maxMatchRules   = 1 << 12
	maxMatchFields  = 256
	maxMatchTexts   = 1 << 10
	maxMatchValues  = 1 << 12
	maxMatchesKnown = 1 << 17
)

// AddMatch adds a match to the step in progress; without one, before the
// first event, it is dropped. The match is the shard's from now on. It returns
// false when the rule has as many as a step may carry.
func (s *Shard) AddMatch(m Match) bool {
	if s.step == nil {
		return false
	}
	return s.step.addMatch(m)
}

// matchKey is what matches have in common of which only one is reported.
type matchKey struct {
	rule, entity, value string
	slot                int
	bucket              int64
}

func (m *Match) key() matchKey {
	return matchKey{m.Rule, m.Entity, m.Value, m.Slot, m.At / StepLength}
}

// addMatch keeps matches near their bound while they come: what is beyond it
// is sorted out when it has doubled.
func (s *Step) addMatch(m Match) bool {
	if m.Value != "" {
		key := m.key()
		if at, ok := s.matchAt[key]; ok {
			s.Matches[at].join(&m)
			return true
		}
		if s.matchAt == nil {
			s.matchAt = map[matchKey]int{}
		}
		s.matchAt[key] = len(s.Matches)
	}
	if s.matchCount == nil {
		s.matchCount = map[string]int{}
	}
	s.Matches = append(s.Matches, m)
	s.matchCount[m.Rule]++
	if s.matchCount[m.Rule] >= 2*MaxMatches {
		s.settleMatches()
		return false
	}
	return true
}

// join makes a match stand for an equal one: what is shown is the first.
func (m *Match) join(o *Match) {
	last := max(m.Last, o.Last)
	if compareMatches(o, m) < 0 {
		*m = *o
	}
	m.Last = last
}

// settleMatches puts the matches into the order in which they are judged, makes
// one of equal ones and cuts what is beyond the bound.
func (s *Step) settleMatches() {
	s.Matches, s.Cut = settle(s.Matches, s.Cut)
	s.matchAt, s.matchCount = nil, nil
	for i := range s.Matches {
		m := &s.Matches[i]
		if m.Value != "" {
			if s.matchAt == nil {
				s.matchAt = map[matchKey]int{}
			}
			s.matchAt[m.key()] = i
		}
		if s.matchCount == nil {
			s.matchCount = map[string]int{}
		}
		s.matchCount[m.Rule]++
	}
}

func settle(all []Match, cut map[string]int) ([]Match, map[string]int) {
	slices.SortStableFunc(all, func(a, b Match) int { return compareMatches(&a, &b) })
	at, count := map[matchKey]int{}, map[string]int{}
	kept := all[:0]
	for i := range all {
		m := all[i]
		if m.Value != "" {
			if first, ok := at[m.key()]; ok {
				if first >= 0 {
					kept[first].Last = max(kept[first].Last, m.Last)
				}
				continue
			}
		}
		place := len(kept)
		if count[m.Rule] >= MaxMatches {
			if cut == nil {
				cut = map[string]int{}
			}
			cut[m.Rule]++
			place = -1
		} else {
			count[m.Rule]++
			kept = append(kept, m)
		}
		if m.Value != "" {
			at[m.key()] = place
		}
	}
	clear(all[len(kept):])
	return kept, cut
}

// TrimMatches leaves of every rule at most so many.
func (s *Step) TrimMatches(most int) {
	s.settleMatches()
	count := map[string]int{}
	s.Matches = slices.DeleteFunc(s.Matches, func(m Match) bool {
		if count[m.Rule]++; count[m.Rule] <= most {
			return false
		}
		if s.Cut == nil {
			s.Cut = map[string]int{}
		}
		s.Cut[m.Rule]++
		return true
	})
	s.settleMatches()
}

// mergeMatches adds those of another step.
func (s *Step) mergeMatches(o *Step) {
	for rule, n := range o.Cut {
		if s.Cut == nil {
			s.Cut = map[string]int{}
		}
		s.Cut[rule] = min(s.Cut[rule]+n, math.MaxInt32)
	}
	if len(o.Matches) == 0 {
		return
	}
	s.Matches = slices.Concat(s.Matches, o.Matches)
	s.settleMatches()
}

// compareMatches orders by time, agent, rule, condition, value and content:
// nothing that depends on which partition an event was in.
func compareMatches(a, b *Match) int {
	return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.Entity, b.Entity), strings.Compare(a.Rule, b.Rule), cmp.Compare(a.Slot, b.Slot),
		strings.Compare(a.Value, b.Value), slices.CompareFunc(a.Fields, b.Fields, compareFields), cmp.Compare(a.Last, b.Last))
}

func compareFields(a, b MatchField) int {
	if a.Name == MatchEventID && b.Name == MatchEventID {
		return 0
	}
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Number, b.Number), slices.Compare(a.Texts, b.Texts))
}

// withoutMatches is what the step says of who is there.
func (s *Step) withoutMatches() *Step {
	if len(s.Matches) == 0 && len(s.Cut) == 0 {
		return s
	}
	copied := *s
	copied.Matches, copied.Cut, copied.matchAt, copied.matchCount = nil, nil, nil, nil
	return &copied
}
