package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// compileRules compiles rules given as YAML.
func compileRules(tb testing.TB, dict *ecs.Dictionary, yaml string) *Ruleset {
	tb.Helper()
	files, err := ParseFile("rules.yml", []byte(yaml))
	if err != nil {
		tb.Fatal(err)
	}
	set, err := files.Compile(dict)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// ruleYAML writes a rule without the keys that a test does not look at.
func ruleYAML(n int, typ, rest string) string {
	return fmt.Sprintf("---\nid: 00000000-0000-4000-8000-%012d\nname: rule %d\nkind: other\nseverity: low\nmaturity: development\ntype: %s\n%s\n", n, n, typ, rest)
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func randomCondition(r *rand.Rand, depth int) string {
	if depth > 0 {
		switch r.IntN(6) {
		case 0, 1, 2:
			return "(" + randomCondition(r, depth-1) + " and " + randomCondition(r, depth-1) + ")"
		case 3, 4:
			return "(" + randomCondition(r, depth-1) + " or " + randomCondition(r, depth-1) + ")"
		}
		return "not (" + randomCondition(r, depth-1) + ")"
	}
	switch r.IntN(8) {
	case 0, 1:
		return fmt.Sprintf("event.action %s %q", pick(r, "==", "==", "!="), action(r))
	case 2:
		return fmt.Sprintf("event.action %s [%q, %q]", pick(r, "in", "not in"), action(r), action(r))
	case 3:
		return fmt.Sprintf("edr.resource.cpu_pct %s %d", pick(r, "<", "<=", ">", ">=", "==", "!="), r.IntN(6))
	case 4:
		return fmt.Sprintf("event.category %s %q", pick(r, "==", "!=", "contains"), pick(r, "host", "process", "file"))
	case 5:
		return fmt.Sprintf("host.name %s %q", pick(r, "==", "startsWith"), pick(r, "a", "b", "ab"))
	case 6:
		return pick(r, "has(host.name)", "edr.tamper.blocked", "has(edr.restart.count)")
	}
	return fmt.Sprintf("(edr.restart.count ?? 0) > %d", r.IntN(4))
}

func action(r *rand.Rand) string {
	return ecs.Actions()[r.IntN(6)].Name
}

func randomEvent(r *rand.Rand, e *event.Event) {
	e.Reset()
	some := func() bool { return r.IntN(4) > 0 }
	if some() {
		e.SetString(ecs.EventAction, action(r))
	}
	if some() {
		e.Set(ecs.EDRResourceCPUPct, event.Float(float64(r.IntN(12))/2))
	}
	if some() {
		e.Set(ecs.EventCategory, event.StringList([]string{pick(r, "host", "process"), pick(r, "file", "host")}))
	}
	if some() {
		e.SetString(ecs.HostName, pick(r, "a", "b", "ab", "c"))
	}
	if some() {
		e.Set(ecs.EDRRestartCount, event.Int(int64(r.IntN(5))))
	}
	if some() {
		e.Set(ecs.EDRTamperBlocked, event.Bool(r.IntN(2) == 0))
	}
}

// TestIndexAgainstScan compares the hooks that the index proposes and that
// turn out true with a plain scan of all hooks, over random rule sets of
// several sizes.
func TestIndexAgainstScan(t *testing.T) {
	dict := dictionary(t)
	r := rand.New(rand.NewPCG(3, 4))
	e := event.New(dict)
	proposed, matched := 0, 0
	for _, size := range []int{1, 5, 20, 100, 400} {
		var yaml strings.Builder
		for n := range size {
			yaml.WriteString(ruleYAML(n, "match", fmt.Sprintf("condition: '%s'", randomCondition(r, 1+r.IntN(4)))))
		}
		set := compileRules(t, dict, yaml.String())
		for range 400 {
			randomEvent(r, e)
			for _, v := range set.Explain(e) {
				candidate, holds := v.Candidate, v.Result == "true"
				if holds && !candidate {
					t.Fatalf("the index misses %s\nfor %s", v.Condition, e.AppendJSON(nil))
				}
				if candidate {
					proposed++
				}
				if holds {
					matched++
				}
			}
		}
	}
	t.Logf("%d proposed, %d true", proposed, matched)
}

// benchRules writes n rules of the shapes of the library with other values, so
// that most of them have nothing to do with a given event.
func benchRules(n int) string {
	var b strings.Builder
	actions := ecs.Actions()
	for i := range n {
		action := actions[i%len(actions)].Name
		condition := []string{
			fmt.Sprintf(`event.action == "%s" and agent.version startsWith "%d."`, action, i),
			fmt.Sprintf(`event.action == "%s" and host.name == "host-%d"`, action, i),
			fmt.Sprintf(`event.action in ["%s", "log-cleared"] and edr.content.version == "v%d"`, action, i),
			fmt.Sprintf(`edr.resource.cpu_pct >= %d and event.action == "%s"`, 60+i%40, action),
			fmt.Sprintf(`edr.privilege.account == "account-%d" or edr.tamper.kind == "kind-%d"`, i, i),
		}[i%5]
		typ, rest := "match", ""
		if i%3 == 1 {
			typ, rest = "threshold", "window: 10m\nhaving: {gte: 1000}\n"
		}
		b.WriteString(ruleYAML(i, typ, rest+"condition: '"+condition+"'"))
	}
	return b.String()
}

// BenchmarkDetect measures a session on heartbeats and process metrics of
// 1,000 agents: the rules of benchRules, none of which alerts.
func BenchmarkDetect(b *testing.B) {
	dict := dictionary(b)
	events := benchEvents(dict)
	for _, n := range []int{10, 100, 1000} {
		set := compileRules(b, dict, benchRules(n))
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			s := set.NewSession(SessionOptions{})
			now := int64(1_700_000_000_000_000_000)
			alerts := 0
			emit := func(*event.Event) { alerts++ }
			for i := range 5000 {
				s.Detect(now+int64(i)*1e6, events[i%len(events)], emit)
			}
			now += 5000 * 1e6
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				s.Detect(now+int64(i)*1e6, events[i%len(events)], emit)
			}
			b.StopTimer()
			s.Close()
			var candidates uint64
			for _, c := range set.Counters() {
				candidates += c.Candidates
			}
			b.ReportMetric(float64(candidates)/float64(b.N+5000), "candidates/event")
			b.ReportMetric(float64(alerts)/float64(b.N+5000), "alerts/event")
		})
	}
}

// benchEvents are 2,000 events of 1,000 agents without timestamps: the session
// takes its clock for them.
func benchEvents(dict *ecs.Dictionary) []*event.Event {
	var list []*event.Event
	for i := range 1000 {
		for _, action := range []string{"sensor-heartbeat", "resource-usage"} {
			e := event.New(dict)
			e.SetString(ecs.EventAction, action)
			e.SetString(ecs.AgentID, fmt.Sprintf("%032x", i))
			e.SetString(ecs.AgentType, "crowdstrike-falcon")
			e.SetString(ecs.AgentVersion, fmt.Sprintf("7.%d.1", i%20))
			e.SetString(ecs.HostName, fmt.Sprintf("host-%d.example.com", i))
			e.SetString(ecs.HostOSType, "windows")
			e.SetString(ecs.EDRState, "protecting")
			if action == "resource-usage" {
				e.Set(ecs.EDRResourceCPUPct, event.Float(float64(i%50)))
				e.Set(ecs.EDRResourceMemoryBytes, event.Int(int64(i)<<20))
			}
			list = append(list, e)
		}
	}
	return list
}

// BenchmarkDetectLibrary measures the shipped rules on the same events.
func BenchmarkDetectLibrary(b *testing.B) {
	dict := dictionary(b)
	events := benchEvents(dict)
	files, err := Parse(Library())
	if err != nil {
		b.Fatal(err)
	}
	set, err := files.Compile(dict)
	if err != nil {
		b.Fatal(err)
	}
	s := set.NewSession(SessionOptions{})
	emit := func(*event.Event) {}
	now := int64(1_700_000_000_000_000_000)
	b.ReportAllocs()
	for i := range b.N {
		s.Detect(now+int64(i)*1e6, events[i%len(events)], emit)
	}
}
