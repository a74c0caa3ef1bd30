package rules

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

const secondNS = int64(time.Second)

// randomRule draws a rule of any type that has an oracle.
func randomRule(r *rand.Rand) *oracleRule {
	span := func(from, to int) int64 { return int64(from+r.IntN(to-from+1)) * 30 * secondNS }
	x := &oracleRule{
		typ:    pick(r, "match", "threshold", "threshold", "value_count", "value_count", "metric", "metric", "spike", "change", "new_terms", "sequence"),
		window: span(2, 24), lateness: span(1, 16), action: "error", low: int64(1 + r.IntN(5)), high: never * -1, least: 1 + r.IntN(4),
	}
	x.having = fmt.Sprintf("gte: %d", x.low)
	x.groupBy = pick(r, nil, nil, []string{"agent.type"}, []string{"agent.type", "process.name?"}, []string{})
	if r.IntN(3) == 0 {
		x.keep = span(1, 12)
	}
	if r.IntN(3) == 0 {
		x.suppress = span(1, 30)
	}
	switch x.typ {
	case "threshold", "value_count", "metric":
		x.kind = pick(r, "sliding", "sliding", "tumbling", "session")
		if x.kind == "session" {
			x.gap = min(span(1, 8), x.window)
		}
	}
	switch x.typ {
	case "match":
		if r.IntN(2) == 0 {
			x.hold, x.bound = span(1, 30), float64(10+r.IntN(40))
		}
	case "threshold":
		switch r.IntN(4) {
		case 0:
			x.having = fmt.Sprintf("gt: %d", x.low-1)
		case 1:
			x.having, x.high = fmt.Sprintf("eq: %d", x.low), x.low
		case 2:
			x.high = x.low + int64(r.IntN(2))
			x.having = fmt.Sprintf("gte: %d, lte: %d", x.low, x.high)
		}
		if r.IntN(3) == 0 {
			x.debounce = min(span(1, 3), x.window-secondNS)
		}
	case "value_count":
		if r.IntN(3) == 0 {
			x.having = fmt.Sprintf("gt: %d", x.low-1)
		}
		x.field = pick(r, "process.name", "process.name", "entity")
		if x.field == "entity" {
			x.groupBy = []string{"agent.type"}
		}
	case "metric":
		x.function = pick(r, "sum", "avg", "min", "max", "p50", "p95")
		x.bound = float64(20 + r.IntN(70))
		if x.function == "sum" {
			x.bound *= 4
		}
		x.compare = pick(r, "gte", "gte", "gt", "lte", "lt", "between")
		x.having = fmt.Sprintf("%s: %v", x.compare, x.bound)
		if x.compare == "between" {
			x.having = fmt.Sprintf("gte: %v, lt: %v", x.bound/2, x.bound)
		}
	case "spike":
		x.history = int64(2 + r.IntN(5))
		x.minKnown = 1 + r.Int64N(x.history)
		x.times = float64(3+r.IntN(6)) / 2
	case "change":
		switch r.IntN(4) {
		case 0, 1:
			x.from, x.to = "p1", "p2"
		case 2:
			x.direction = pick(r, "up", "down")
		case 3:
			x.returns = r.Int64N(3)
		}
		x.groupBy = pick(r, nil, []string{"agent.type"})
	case "new_terms":
		x.learn = x.window / int64(2+r.IntN(4))
		x.groupBy = pick(r, nil, []string{"agent.type"})
	case "sequence":
		actions := []string{"error", "sensor-crashed", "host-crashed", "sensor-stopped"}
		r.Shuffle(len(actions), func(i, j int) { actions[i], actions[j] = actions[j], actions[i] })
		x.steps = actions[:2+r.IntN(3)]
		x.unordered = r.IntN(3) == 0
		if !x.unordered && len(x.steps) > 2 && r.IntN(2) == 0 {
			x.steps[1] = "!" + x.steps[1]
		}
		x.groupBy = pick(r, nil, []string{"agent.type"})
	}
	x.except = r.IntN(5) == 0
	return x
}

// randomStream draws events: clusters and gaps, late ones, too late ones, ones
// from the future, and fields that are missing.
func randomStream(r *rand.Rand, x *oracleRule, n int) []oracleEvent {
	now := start
	var list []oracleEvent
	for range n {
		switch r.IntN(12) {
		case 0:
			now += int64(r.IntN(1800)) * secondNS
		case 1, 2: // At the same moment as the one before.
		default:
			now += int64(r.IntN(90)) * secondNS
		}
		e := oracleEvent{now: now, at: now, agent: pick(r, "a1", "a2", "a3"), typ: pick(r, "x", "x", "y"), cpu: float64(r.IntN(101)), hasCPU: r.IntN(8) > 0}
		switch r.IntN(8) {
		case 0, 1, 2:
			e.at -= r.Int64N(x.lateness/secondNS+1) * secondNS
		case 3:
			e.at -= r.Int64N(2*x.lateness/secondNS) * secondNS
		case 4:
			e.at += int64(r.IntN(3600)) * secondNS // A wrong clock.
		}
		e.action = pick(r, "error", "error", "error", "sensor-crashed", "host-crashed", "sensor-stopped", "inventory")
		e.process = pick(r, "", "p1", "p2", "p2", "p3", "p4")
		if r.IntN(15) == 0 {
			e.agent = ""
		}
		if r.IntN(15) == 0 {
			e.typ = ""
		}
		list = append(list, e)
	}
	return list
}

// TestAgainstOracle compares all alerts, from firing to resolved, with their
// times, keys and counts.
func TestAgainstOracle(t *testing.T) {
	dict := dictionary(t)
	alerts := map[string]int{}
	for i := range uint64(900) {
		typ, n := againstOracle(t, dict, drawAny, 1, i, 60)
		alerts[typ] += n
	}
	t.Log(alerts)
	for _, typ := range []string{
		"match ", "match for", "threshold sliding", "threshold tumbling", "threshold session", "value_count sliding", "value_count tumbling",
		"value_count session", "metric sliding", "metric tumbling", "metric session", "spike ", "change ", "new_terms ", "sequence ",
	} {
		if alerts[typ] < 20 {
			t.Errorf("%s: only %d alerts, the test shows little", typ, alerts[typ])
		}
	}
}

// FuzzAgainstOracle draws rules and streams from seeds.
func FuzzAgainstOracle(f *testing.F) {
	dict := dictionary(f)
	f.Add(uint64(1), uint64(2), uint8(60))
	f.Fuzz(func(t *testing.T, a, b uint64, n uint8) { againstOracle(t, dict, drawAny, a, b, int(n)+1) })
}
