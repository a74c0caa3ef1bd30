package rules

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
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

// raiseAll runs the engine over the events.
func raiseAll(tb testing.TB, x *oracleRule, events []oracleEvent, end int64) (alerts []oracleAlert, ids []string) {
	return raiseFrom(tb, x, events, end, func(s *Session) *Session { return s })
}

// document is the event.
func (e *oracleEvent) document(dict *ecs.Dictionary) *event.Event {
	doc := event.New(dict)
	doc.Set(ecs.Timestamp, event.Time(e.at))
	for id, value := range map[ecs.ID]string{ecs.AgentID: e.agent, ecs.AgentType: e.typ, ecs.EventAction: e.action, ecs.ProcessName: e.process} {
		if value != "" {
			doc.SetString(id, value)
		}
	}
	if e.hostType != "" {
		doc.SetString(ecs.HostType, e.hostType)
	}
	doc.Feed = e.feed
	if e.hasCPU {
		doc.Set(ecs.EDRResourceCPUPct, event.Float(e.cpu))
	}
	return doc
}

// raiseFrom gives the session to next whenever the clock has moved and whenever
// an event was judged.
func raiseFrom(tb testing.TB, x *oracleRule, events []oracleEvent, end int64, next func(*Session) *Session) (alerts []oracleAlert, ids []string) {
	set := compileRules(tb, dictionary(tb), x.yaml())
	s := set.NewSession(SessionOptions{Lateness: time.Duration(x.lateness)})
	defer func() { s.Close() }()
	incidents := map[string]string{}
	emit := func(a *event.Event) {
		var document struct {
			Event struct {
				ID    string
				Start time.Time
			}
			EDR struct {
				Alert struct{ ID, Parent, Scope string }
			}
		}
		if err := json.Unmarshal(a.AppendJSON(nil), &document); err != nil {
			tb.Fatal(err)
		}
		alert := oracleAlert{
			at: a.Timestamp(), status: strings.Clone(a.Str(ecs.EDRAlertStatus)), key: strings.Clone(a.Str(ecs.EDRAlertKey)),
			start: document.Event.Start.UnixNano(), count: a.Get(ecs.EDRAlertCount).Int(),
		}
		if x.rollup != nil {
			alert.more = strings.Clone(a.Str(ecs.EDRAlertSeverity))
			if all := a.Get(ecs.EDRAlertDenominator); all != nil { // Only incidents have one.
				alert.more = fmt.Sprintf("incident of %d", all.Int())
				if incidents[document.EDR.Alert.ID] == "" {
					incidents[document.EDR.Alert.ID] = fmt.Sprintf("%s@%d", alert.key, alert.at)
				}
			} else if parent := document.EDR.Alert.Parent; parent != "" {
				alert.more += " in " + incidents[parent]
			}
		}
		if x.silence.cohort != nil {
			alert.more = fmt.Sprintf("of %d", a.Get(ecs.EDRAlertDenominator).Int())
		}
		alerts = append(alerts, alert)
		ids = append(ids, document.Event.ID)
	}
	for _, e := range events {
		doc := e.document(set.dict)
		s.Detect(e.now, nil, emit)
		s = next(s)
		s.Detect(e.now, doc, emit)
		s = next(s)
	}
	s.Detect(end, nil, emit)
	return alerts, ids
}

// draw makes a rule, and n events for it.
type draw func(r *rand.Rand, n int) (*oracleRule, []oracleEvent)

func drawAny(r *rand.Rand, n int) (*oracleRule, []oracleEvent) {
	x := randomRule(r)
	return x, randomStream(r, x, n)
}

// interrupted draws what becomes of a session whenever anything has happened:
// nothing, or now and then a snapshot is taken up or the rules are read again.
func interrupted(tb testing.TB, r *rand.Rand, x *oracleRule) func(*Session) *Session {
	switch r.IntN(4) {
	case 0:
		return func(s *Session) *Session {
			if r.IntN(4) == 0 {
				return restored(tb, s)
			}
			return s
		}
	case 1:
		n := 0
		return func(s *Session) *Session {
			if r.IntN(8) == 0 {
				n++
				again := compileRules(tb, s.set.dict, x.yaml()+fmt.Sprintf("description: edited %d times", n))
				s.Reload(again.Inherit(s.set), func(a *event.Event) { tb.Fatalf("the reload says %s", a.AppendJSON(nil)) })
			}
			return s
		}
	}
	return func(s *Session) *Session { return s }
}

// againstOracle compares engine and oracle for a drawn rule and stream, and
// returns the number of alerts.
func againstOracle(tb testing.TB, draw draw, seed1, seed2 uint64, n int) (typ string, alerts int) {
	r := rand.New(rand.NewPCG(seed1, seed2))
	x, events := draw(r, n)
	end := events[len(events)-1].now + 3*int64(time.Hour)
	want := predict(x, events, end)
	got, ids := raiseFrom(tb, x, events, end, interrupted(tb, r, x))
	if !slices.IsSortedFunc(got, func(a, b oracleAlert) int { return cmp.Compare(a.at, b.at) }) {
		tb.Errorf("alerts are not in the order of time: %v", got)
	}
	slices.SortStableFunc(got, func(a, b oracleAlert) int { return cmp.Compare(a.key, b.key) })
	for i := range want { // An event.start has milliseconds.
		want[i].start = want[i].start / 1e6 * 1e6
	}
	if x.typ == "sequence" && x.groupBy != nil { // It counts the hosts of one of the chains.
		for _, list := range [][]oracleAlert{got, want} {
			for i := range list {
				list[i].count = 0
			}
		}
	}
	if !slices.Equal(got, want) {
		var b strings.Builder
		for _, e := range events {
			if key, ok := x.key(&e); ok {
				b.WriteString("\n" + time.Duration(e.now-start).String() + " happened " + time.Duration(e.at-start).String() + " key " + key + " " + e.action + " " + e.process + " " + decimal(e.cpu))
			}
		}
		show := func(list []oracleAlert) (s string) {
			for _, a := range list {
				s += "\n  " + time.Duration(a.at-start).String() + " " + a.status + " " + a.key + " from " + time.Duration(a.start-start).String() + " count " + decimal(float64(a.count)) + " " + a.more
			}
			return s
		}
		tb.Fatalf("seeds %d %d\n%s\nlateness %s\nevents%s\ngot%s\nwant%s", seed1, seed2, x.yaml(), time.Duration(x.lateness), b.String(), show(got), show(want))
	}
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	// A match without an episode is known by its event; these have no event.id.
	if (x.typ != "match" || x.hold > 0) && len(slices.Compact(sorted)) != len(ids) {
		tb.Fatalf("seeds %d %d: two documents have one id\n%s\n%v", seed1, seed2, x.yaml(), got)
	}
	if x.hold > 0 {
		x.kind = "for"
	}
	return x.typ + " " + x.kind, len(got)
}

// TestAgainstOracle compares all alerts, from firing to resolved, with their
// times, keys and counts.
func TestAgainstOracle(t *testing.T) {
	alerts := map[string]int{}
	for i := range uint64(900) {
		typ, n := againstOracle(t, drawAny, 1, i, 60)
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
	f.Add(uint64(1), uint64(2), uint8(60))
	f.Fuzz(func(t *testing.T, a, b uint64, n uint8) { againstOracle(t, drawAny, a, b, int(n)+1) })
}
