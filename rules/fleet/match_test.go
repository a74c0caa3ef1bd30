package fleet

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// someMatches draws matches of a step: of few agents, so that many are equal.
func someMatches(r *rand.Rand, n, offset int) []Match {
	var list []Match
	for i := range n {
		m := Match{Rule: fmt.Sprintf("rule %d", r.IntN(2)), Slot: r.IntN(2), At: int64(r.IntN(int(StepLength))) + r.Int64N(3)*StepLength, Entity: fmt.Sprintf("a%d", r.IntN(20))}
		m.Last = m.At
		if m.Rule == "rule 1" {
			m.Value = m.Entity
		}
		m.Fields = []MatchField{
			{Name: "agent.id", Kind: uint8(ecs.String), Texts: []string{m.Entity}},
			{Name: MatchEventID, Kind: uint8(ecs.String), Texts: []string{fmt.Sprint(offset + i)}},
			{Name: "process.pid", Kind: uint8(ecs.Int), Number: uint64(r.IntN(3))},
			{Name: "tags", Kind: uint8(ecs.String), List: true, Texts: []string{"x", "y"}},
		}
		list = append(list, m)
	}
	return list
}

// TestMatchesDoNotDependOnPartitions divides matches into partitions in many ways
// and merges them in any order: what is judged is the same, but for where an
// event stood.
func TestMatchesDoNotDependOnPartitions(t *testing.T) {
	anonymous := func(list []Match) []Match {
		list = slices.Clone(list)
		for i := range list {
			list[i].Fields = slices.DeleteFunc(slices.Clone(list[i].Fields), func(f MatchField) bool { return f.Name == MatchEventID })
		}
		return list
	}
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		all := someMatches(r, 600, 0)
		whole := newStep(StepLength)
		for _, m := range all {
			whole.addMatch(m)
		}
		whole.settleMatches()
		n := 1 + r.IntN(16)
		parts := make([]*Step, n)
		for i := range parts {
			parts[i] = newStep(StepLength)
		}
		for _, i := range r.Perm(len(all)) {
			parts[r.IntN(n)].addMatch(all[i])
		}
		merged := newStep(StepLength)
		for _, i := range r.Perm(n) {
			back, err := ParseStep(AppendStep(nil, parts[i]))
			if err != nil {
				t.Fatal(err)
			}
			merged.Add(back)
		}
		if !reflect.DeepEqual(anonymous(merged.Matches), anonymous(whole.Matches)) {
			t.Fatalf("seed %d: %d partitions give %d matches, one gives %d, or others", seed, n, len(merged.Matches), len(whole.Matches))
		}
		if len(whole.Matches) >= len(all) || merged.Cut != nil {
			t.Fatalf("seed %d: %d of %d matches, %v cut", seed, len(whole.Matches), len(all), merged.Cut)
		}
	}
}

// TestMatchesAreCutAlike adds ten times as many as a step may, of two rules.
func TestMatchesAreCutAlike(t *testing.T) {
	var cut []map[string]int
	var kept [][]Match
	for _, n := range []int{1, 7} {
		parts := make([]*Step, n)
		for i := range parts {
			parts[i] = newStep(StepLength)
		}
		for i := range 10 * MaxMatches {
			m := Match{Rule: "often", At: int64(i), Last: int64(i), Entity: "a"}
			parts[i%n].addMatch(m)
			if most := len(parts[i%n].Matches); most > 2*MaxMatches {
				t.Fatalf("%d matches are held", most)
			}
		}
		parts[0].addMatch(Match{Rule: "once", At: StepLength - 1, Last: StepLength - 1})
		merged := newStep(StepLength)
		for _, p := range parts {
			merged.Add(p)
		}
		cut, kept = append(cut, merged.Cut), append(kept, merged.Matches)
	}
	if len(kept[0]) != MaxMatches+1 || !reflect.DeepEqual(kept[0], kept[1]) {
		t.Errorf("%d matches are kept, and %d of seven partitions", len(kept[0]), len(kept[1]))
	}
	for _, c := range cut {
		if c["often"] != 9*MaxMatches || c["once"] != 0 {
			t.Errorf("%v were cut", c)
		}
	}
}

func TestParseMatchesRefuses(t *testing.T) {
	s := newStep(StepLength)
	for _, m := range someMatches(rand.New(rand.NewPCG(1, 1)), 20, 0) {
		s.addMatch(m)
	}
	good := AppendStep(nil, s)
	for n := range good {
		if _, err := ParseStep(good[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken", n, len(good))
		}
	}
	back, err := ParseStep(good)
	if err != nil || !reflect.DeepEqual(back.Matches, s.Matches) {
		t.Errorf("came back as %+v, %v, want %+v", back.Matches, err, s.Matches)
	}
	s.TrimMatches(3)
	if len(s.Matches) != 6 || s.Cut["rule 0"] == 0 {
		t.Errorf("%d matches are left, %v cut", len(s.Matches), s.Cut)
	}
}
