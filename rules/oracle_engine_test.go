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
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

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
	all, ids := raiseSet(tb, dictionary(tb), []*oracleRule{x}, events, end, next)
	return all[0], ids
}

// raiseSet runs several rules at once and returns the alerts of each.
func raiseSet(tb testing.TB, dict *ecs.Dictionary, rules []*oracleRule, events []oracleEvent, end int64, next func(*Session) *Session) (alerts [][]oracleAlert, ids []string) {
	set := compileRules(tb, dict, setYAML(rules))
	s := set.NewSession(SessionOptions{Lateness: time.Duration(rules[0].lateness)})
	defer func() { s.Close() }()
	alerts = make([][]oracleAlert, len(rules))
	incidents := map[string]string{}
	emit := func(a *event.Event) {
		var document struct {
			Rule  struct{ Name string }
			Event struct {
				ID    string
				Start time.Time
			}
			EDR struct{ Alert struct{ ID, Parent string } }
		}
		if err := json.Unmarshal(a.AppendJSON(nil), &document); err != nil {
			tb.Fatal(err)
		}
		number := 0
		if _, err := fmt.Sscanf(document.Rule.Name, "rule %d", &number); err != nil {
			tb.Fatal(err)
		}
		x := rules[number-1]
		alert := oracleAlert{
			at: a.Timestamp(), status: strings.Clone(a.Str(ecs.EDRAlertStatus)), key: strings.Clone(a.Str(ecs.EDRAlertKey)),
			start: document.Event.Start.UnixNano(), count: a.Get(ecs.EDRAlertCount).Int(),
		}
		if x.rollup != nil {
			alert.more = strings.Clone(a.Str(ecs.EDRAlertSeverity))
			if all := a.Get(ecs.EDRAlertDenominator); all != nil { // Only incidents have one.
				alert.more = "incident"
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
		alerts[number-1] = append(alerts[number-1], alert)
		ids = append(ids, document.Event.ID)
	}
	for _, e := range events {
		doc := e.document(set.Dictionary())
		s.Detect(e.now, nil, emit)
		s = next(s)
		s.Detect(e.now, doc, emit)
		s = next(s)
	}
	s.Detect(end, nil, emit)
	return alerts, ids
}

func setYAML(rules []*oracleRule) (yaml string) {
	for _, x := range rules {
		yaml += x.yaml()
	}
	return yaml
}

// draw makes a rule, and n events for it.
type draw func(r *rand.Rand, n int) (*oracleRule, []oracleEvent)

func drawAny(r *rand.Rand, n int) (*oracleRule, []oracleEvent) {
	x := randomRule(r)
	return x, randomStream(r, x, n)
}

// interrupted draws what happens to a session whenever anything has happened:
// nothing, or now and then a snapshot is taken up or the rules are read again.
func interrupted(tb testing.TB, r *rand.Rand, yaml string) func(*Session) *Session {
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
			if r.IntN(20) == 0 {
				n++
				again := compileRules(tb, s.Ruleset().Dictionary(), strings.ReplaceAll(yaml, "severity: low", fmt.Sprintf("severity: low\ndescription: edited %d times", n)))
				s.Reload(again.Inherit(s.Ruleset()), func(a *event.Event) { tb.Fatalf("the reload says %s", a.AppendJSON(nil)) })
			}
			return s
		}
	}
	return func(s *Session) *Session { return s }
}

// againstOracle compares engine and oracle for a drawn rule and stream, and
// returns the number of alerts.
func againstOracle(tb testing.TB, dict *ecs.Dictionary, draw draw, seed1, seed2 uint64, n int) (typ string, alerts int) {
	r := rand.New(rand.NewPCG(seed1, seed2))
	x, events := draw(r, n)
	alerts = againstOracles(tb, dict, r, []*oracleRule{x}, events, fmt.Sprintf("seeds %d %d", seed1, seed2))
	if x.hold > 0 {
		x.kind = "for"
	}
	return x.typ + " " + x.kind, alerts
}

// againstOracles compares engine and oracle for a set of rules.
func againstOracles(tb testing.TB, dict *ecs.Dictionary, r *rand.Rand, rules []*oracleRule, events []oracleEvent, seeds string) (alerts int) {
	end := events[len(events)-1].now + 3*int64(time.Hour)
	all, ids := raiseSet(tb, dict, rules, events, end, interrupted(tb, r, setYAML(rules)))
	anonymous := false
	for i, x := range rules {
		got, want := all[i], predict(x, events, end)
		inTime := func(a, b oracleAlert) int { return cmp.Compare(a.at, b.at) }
		if x.wide() || x.rollup != nil {
			slices.SortStableFunc(got, inTime) // What is judged at the closing of a step comes after what partitions raised in it.
		}
		if !slices.IsSortedFunc(got, inTime) {
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
			tb.Fatalf("%s\n%s\nlateness %s\nevents%s\ngot%s\nwant%s", seeds, x.yaml(), time.Duration(x.lateness), x.listing(events), tell(got), tell(want))
		}
		alerts += len(got)
		// A match without an episode is known by its event; these have no event.id.
		anonymous = anonymous || x.typ == "match" && x.hold == 0
	}
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	if !anonymous && len(slices.Compact(sorted)) != len(ids) {
		tb.Fatalf("%s: two documents have one id\n%s\n%v", seeds, setYAML(rules), all)
	}
	return alerts
}

// listing tells the events that have a key of the rule.
func (r *oracleRule) listing(events []oracleEvent) string {
	var b strings.Builder
	for _, e := range events {
		if key, ok := r.key(&e); ok {
			b.WriteString("\n" + time.Duration(e.now-start).String() + " happened " + time.Duration(e.at-start).String() + " key " + key + " " + e.action + " " + e.process + " " + wording.Decimal(e.cpu))
		}
	}
	return b.String()
}

// tell lists alerts.
func tell(list []oracleAlert) (s string) {
	for _, a := range list {
		s += "\n  " + time.Duration(a.at-start).String() + " " + a.status + " " + a.key + " from " + time.Duration(a.start-start).String() + " count " + wording.Decimal(float64(a.count)) + " " + a.more
	}
	return s
}
