package fleet

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
)

// The agents and matches of a step, after all else in it: number of agents; number of rules with their
// texts and what was cut of each; number of matches, and each as rule, slot,
// times, entity, value and fields.

func (w *stepWriter) collectMatches(s *Step) {
	for rule := range s.Cut {
		w.texts[cutText(rule)] = 0
	}
	for i := range s.Matches {
		m := &s.Matches[i]
		w.texts[cutText(m.Rule)], w.texts[cutText(m.Entity)], w.texts[cutText(m.Value)] = 0, 0, 0
		for _, f := range m.Fields {
			w.texts[cutText(f.Name)] = 0
			for _, text := range f.Texts {
				w.texts[cutText(text)] = 0
			}
		}
	}
}

func (w *stepWriter) matches(s *Step) {
	w.count(s.Agents)
	w.count(len(s.Cut))
	for _, rule := range slices.Sorted(maps.Keys(s.Cut)) {
		w.text(rule)
		w.count(s.Cut[rule])
	}
	w.count(len(s.Matches))
	for i := range s.Matches {
		m := &s.Matches[i]
		w.text(m.Rule)
		w.count(m.Slot)
		w.b = binary.AppendVarint(w.b, m.At)
		w.b = binary.AppendUvarint(w.b, uint64(max(m.Last-m.At, 0)))
		w.text(m.Entity)
		w.text(m.Value)
		w.count(len(m.Fields))
		for _, f := range m.Fields {
			w.text(f.Name)
			list := byte(0)
			if f.List {
				list = 1
			}
			w.b = append(w.b, f.Kind, list)
			w.b = binary.AppendUvarint(w.b, f.Number)
			w.count(len(f.Texts))
			for _, text := range f.Texts {
				w.text(text)
			}
		}
	}
}

func (r *stepReader) matches(s *Step) {
	s.Agents = r.count("agents")
	for range r.entries("rules of which matches were cut", 2) {
		if s.Cut == nil {
			s.Cut = map[string]int{}
		}
		rule := r.text("a rule")
		s.Cut[rule] = r.count("a number of matches")
		if len(s.Cut) > maxMatchRules {
			r.fail(fmt.Sprintf("at most %d rules", maxMatchRules))
			return
		}
	}
	n := r.entries("matches", 8)
	if n > maxMatchesKnown {
		r.fail(fmt.Sprintf("at most %d matches", maxMatchesKnown))
		return
	}
	for range n {
		m := Match{Rule: r.text("a rule"), Slot: int(r.uint("a condition", maxMatchFields)), At: r.time("when a match happened")}
		m.Last = m.At + int64(r.uint("how long a match lasted", uint64(StepLength)))
		m.Entity, m.Value = r.text("an agent"), r.text("a value")
		fields := r.entries("fields of a match", 5)
		if fields > maxMatchFields {
			r.fail(fmt.Sprintf("at most %d fields", maxMatchFields))
			return
		}
		for range fields {
			f := MatchField{Name: r.text("a field"), Kind: r.byte("the kind of a field"), List: r.byte("whether a field is a list") == 1}
			f.Number = r.uint("a number", math.MaxUint64)
			texts := r.entries("texts of a field", 1)
			if texts > maxMatchTexts {
				r.fail(fmt.Sprintf("at most %d texts", maxMatchTexts))
				return
			}
			for range texts {
				f.Texts = append(f.Texts, r.text("a text"))
			}
			m.Fields = append(m.Fields, f)
		}
		if r.err != nil {
			return
		}
		s.Matches = append(s.Matches, m)
	}
	s.settleMatches()
}
