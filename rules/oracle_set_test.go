package rules

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// drawSet draws up to six rules of all types, and a stream that was drawn for
// one of them.
func drawSet(r *rand.Rand, n int) ([]*oracleRule, []oracleEvent) {
	var rules []*oracleRule
	var events []oracleEvent
	for i := range 2 + r.IntN(5) {
		x, stream := pick[draw](r, drawAny, drawAny, drawSilence, drawNoData, drawDrop, drawAnomaly, drawStorm, drawAbsence)(r, n)
		if events == nil || r.IntN(3) == 0 {
			events = stream
		}
		x.number = i
		rules = append(rules, x)
		x.lateness = rules[0].lateness
	}
	return rules, events
}

func againstOracleOfSets(tb testing.TB, dict *ecs.Dictionary, seed1, seed2 uint64, n int) int {
	r := rand.New(rand.NewPCG(seed1, seed2))
	rules, events := drawSet(r, n)
	return againstOracles(tb, dict, r, rules, events, fmt.Sprintf("seeds %d %d", seed1, seed2))
}

// TestSetsAgainstOracle runs rules of different types side by side: none minds
// the others.
func TestSetsAgainstOracle(t *testing.T) {
	dict := dictionary(t)
	total := 0
	for i := range uint64(60) {
		total += againstOracleOfSets(t, dict, 9, i, 60)
	}
	if total < 600 {
		t.Errorf("only %d alerts, the test shows little", total)
	}
}

// FuzzSetsAgainstOracle draws sets of rules and streams from seeds.
func FuzzSetsAgainstOracle(f *testing.F) {
	dict := dictionary(f)
	f.Add(uint64(1), uint64(2), uint8(60))
	f.Fuzz(func(t *testing.T, a, b uint64, n uint8) { againstOracleOfSets(t, dict, a, b, int(n)+1) })
}
