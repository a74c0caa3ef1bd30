package rules

import (
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

const start = int64(1_721_361_600_000_000_000) // 2024-07-19T04:00:00Z

// feed plays events into sessions and collects the alerts.
type feed struct {
	tb     testing.TB
	s      *Session
	e      *event.Event
	alerts []map[string]any
	bodies []string
	topic  string // From which the next events come.
}

func newFeed(tb testing.TB, set *Ruleset, o SessionOptions) *feed {
	f := &feed{tb: tb, s: set.NewSession(o), e: event.New(set.Dictionary())}
	return f
}

func (f *feed) emit(a *event.Event) {
	body := a.AppendJSON(nil)
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		f.tb.Fatalf("alert is not JSON: %v: %s", err, body)
	}
	f.alerts = append(f.alerts, m)
	f.bodies = append(f.bodies, string(body))
}

// send delivers an event at an offset from the start. Fields come in pairs of
// name and value.
func (f *feed) send(at time.Duration, fields ...any) { f.late(at, at, fields...) }

// late delivers an event that happened at another time than it arrives.
func (f *feed) late(at, happened time.Duration, fields ...any) {
	f.e.Reset()
	f.e.Feed = f.topic
	f.e.Set(ecs.Timestamp, event.Time(start+int64(happened)))
	for i := 0; i < len(fields); i += 2 {
		id, ok := f.e.Dictionary().Lookup(fields[i].(string))
		if !ok {
			f.tb.Fatalf("no field %s", fields[i])
		}
		switch v := fields[i+1].(type) {
		case string:
			f.e.SetString(id, v)
		case []string:
			f.e.Set(id, event.StringList(v))
		case float64:
			f.e.Set(id, event.Float(v))
		case bool:
			f.e.Set(id, event.Bool(v))
		case int:
			f.e.Set(id, event.Int(int64(v)))
		}
	}
	f.s.Detect(start+int64(at), f.e, f.emit)
}

func (f *feed) advance(at time.Duration) { f.s.Detect(start+int64(at), nil, f.emit) }

// said lists the alerts as "offset status rule-name key count".
func (f *feed) said() []string {
	var list []string
	for _, a := range f.alerts {
		at, err := time.Parse(time.RFC3339Nano, a["@timestamp"].(string))
		if err != nil {
			f.tb.Fatal(err)
		}
		alert := a["edr"].(map[string]any)["alert"].(map[string]any)
		list = append(list, fmt.Sprintf("%s %s %s %v %v", time.Duration(at.UnixNano()-start), alert["status"], a["rule"].(map[string]any)["name"], alert["key"], alert["count"]))
	}
	return list
}

func (f *feed) expect(want ...string) {
	f.tb.Helper()
	if got := f.said(); !slices.Equal(got, want) {
		f.tb.Errorf("alerts\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestMatch(t *testing.T) {
	dict := dictionary(t)
	set := compileRules(t, dict, ruleYAML(1, "match", `condition: event.action == "tamper-attempt"`)+
		ruleYAML(2, "match", "condition: event.action == \"log-cleared\"\nsuppress: 10m")+
		ruleYAML(3, "match", "condition: event.action == \"error\"\nkeep_firing_for: 5m"))
	f := newFeed(t, set, SessionOptions{})
	f.send(0, "event.action", "tamper-attempt", "agent.id", "a", "event.id", "1")
	f.send(0, "event.action", "tamper-attempt", "agent.id", "a", "event.id", "2")
	f.send(time.Minute, "event.action", "log-cleared", "agent.id", "a")
	f.send(2*time.Minute, "event.action", "log-cleared", "agent.id", "a")
	f.send(2*time.Minute, "event.action", "log-cleared", "agent.id", "b")
	f.send(3*time.Minute, "event.action", "error", "agent.id", "a")
	f.send(6*time.Minute, "event.action", "error", "agent.id", "a")
	f.send(12*time.Minute, "event.action", "log-cleared", "agent.id", "a")
	f.expect(
		"0s firing rule 1 a 1",
		"0s firing rule 1 a 1",
		"1m0s firing rule 2 a 1",
		"2m0s firing rule 2 b 1",
		"3m0s firing rule 3 a 1",
		"11m0s resolved rule 2 a 2",
		"11m0s resolved rule 3 a 2",
		"12m0s resolved rule 2 b 1",
		"12m0s firing rule 2 a 1",
	)
	ids := map[any]bool{}
	for _, a := range f.alerts {
		id := a["event"].(map[string]any)["id"]
		if ids[id] {
			t.Errorf("two documents have the id %v", id)
		}
		ids[id] = true
	}
}

// TestRulesOnEvent checks that an event carries the rules that it matched and
// contributed to.
func TestRulesOnEvent(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "match", `condition: event.action == "error"`)+
		ruleYAML(2, "threshold", "condition: event.action == \"error\"\nwindow: 1m\nhaving: {gt: 5}")+
		ruleYAML(3, "match", `condition: event.action == "alert"`))
	f := newFeed(t, set, SessionOptions{})
	f.send(0, "event.action", "error", "agent.id", "a")
	want := []string{"00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"}
	if got := f.e.Get(ecs.EDRRules).List(); !slices.Equal(got, want) {
		t.Errorf("edr.rules = %v, want %v", got, want)
	}
}

func TestThreshold(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "threshold", "condition: event.action == \"error\"\nwindow: 10m\nhaving: {gte: 3}"))
	send := func(f *feed, at, happened time.Duration) {
		f.late(at, happened, "event.action", "error", "agent.id", "a")
	}
	t.Run("the window is open at its start", func(t *testing.T) {
		f := newFeed(t, set, SessionOptions{})
		send(f, 0, 0)
		send(f, 5*time.Minute, 5*time.Minute)
		send(f, 10*time.Minute, 10*time.Minute)
		f.expect()
		send(f, 15*time.Minute-time.Second, 15*time.Minute-time.Second)
		f.advance(time.Hour)
		f.expect("14m59s firing rule 1 a 3", "15m0s resolved rule 1 a 3")
	})
	t.Run("late events count within lateness", func(t *testing.T) {
		f := newFeed(t, set, SessionOptions{Lateness: 5 * time.Minute})
		send(f, 10*time.Minute, 6*time.Minute)
		send(f, 10*time.Minute, 10*time.Minute)
		send(f, 10*time.Minute, 4*time.Minute)
		if !f.e.Late {
			t.Error("an event six minutes late is not marked")
		}
		f.expect()
		send(f, 10*time.Minute, 5*time.Minute)
		f.expect("10m0s firing rule 1 a 3")
		f.s.Close()
		if c := set.Counters()[0]; c.Late != 1 {
			t.Errorf("late = %d, want 1", c.Late)
		}
	})
	t.Run("a wrong clock of one host does not close the window of another", func(t *testing.T) {
		f := newFeed(t, set, SessionOptions{})
		send(f, 0, 0)
		f.late(time.Minute, 1000*time.Hour, "event.action", "error", "agent.id", "b")
		send(f, 2*time.Minute, 2*time.Minute)
		send(f, 3*time.Minute, 3*time.Minute)
		f.expect("3m0s firing rule 1 a 3")
	})
	t.Run("an event without a key is counted as such", func(t *testing.T) {
		f := newFeed(t, set, SessionOptions{})
		before := set.Counters()[0].NoKey
		f.send(0, "event.action", "error")
		f.s.Close()
		if got := set.Counters()[0].NoKey - before; got != 1 {
			t.Errorf("no key = %d, want 1", got)
		}
	})
}

// TestJoin checks that a record that names only the host reaches the agent
// that has an id.
func TestJoin(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "threshold", "condition: event.action in [\"error\", \"inventory\"]\nwindow: 10m\nhaving: {gte: 2}"))
	f := newFeed(t, set, SessionOptions{})
	f.send(0, "event.action", "inventory", "agent.id", "a", "agent.type", "x", "host.name", "PC-1.example.com")
	f.send(1, "event.action", "error", "agent.type", "y", "host.name", "pc-1")
	f.expect()
	f.send(2, "event.action", "error", "agent.type", "x", "host.name", "pc-1")
	f.expect("2ns firing rule 1 a 2")
}

const silent = "condition: event.action == \"sensor-heartbeat\"\nafter: 10m\nends_on: event.action == \"host-shutdown\""

// beat sends heartbeats of agents every minute.
func beat(f *feed, from, to time.Duration, agents ...string) {
	for at := from; at < to; at += time.Minute {
		for i, a := range agents {
			f.send(at+time.Duration(i)*time.Second, "event.action", "sensor-heartbeat", "agent.id", a, "agent.type", "x", "host.os.type", "windows")
		}
	}
}

func TestSilence(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "silence", silent))
	t.Run("stamped with the due time, resolved on return", func(t *testing.T) {
		f := newFeed(t, set, SessionOptions{})
		beat(f, 0, 5*time.Minute, "a", "b")
		beat(f, 5*time.Minute, 30*time.Minute, "a")
		beat(f, 30*time.Minute, 31*time.Minute, "a", "b")
		f.expect("14m1s firing rule 1 b 1", "30m1s resolved rule 1 b 1")
	})
	t.Run("a goodbye disarms", func(t *testing.T) {
		f := newFeed(t, set, SessionOptions{})
		beat(f, 0, 5*time.Minute, "a", "b")
		f.send(5*time.Minute, "event.action", "host-shutdown", "agent.id", "b")
		beat(f, 5*time.Minute, 30*time.Minute, "a")
		f.expect()
	})
	t.Run("nothing fires without a clock", func(t *testing.T) {
		f := newFeed(t, set, SessionOptions{})
		beat(f, 0, 5*time.Minute, "a", "b")
		f.expect()
	})
	t.Run("a stalled feed is nobody's silence", func(t *testing.T) {
		f := newFeed(t, set, SessionOptions{})
		beat(f, 0, 5*time.Minute, "a", "b", "c")
		beat(f, 10*time.Hour, 10*time.Hour+20*time.Minute, "a", "b", "c")
		f.expect()
	})
	t.Run("who does not return from a stall is silent half of after later", func(t *testing.T) {
		f := newFeed(t, set, SessionOptions{})
		beat(f, 0, 5*time.Minute, "a", "b")
		beat(f, 10*time.Hour, 10*time.Hour+20*time.Minute, "a")
		f.expect("10h5m0s firing rule 1 b 1")
	})
}

func TestMassSilence(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "silence", silent)+
		strings.Replace(ruleYAML(2, "silence", "condition: event.action == \"sensor-heartbeat\"\nafter: 5m\ncohort: {by: [agent.type, host.os.type], min_agents: 10, min_silent: 3, percent: 20, within: 5m}"),
			"kind: other", "kind: mass_silence\nscope: cohort", 1))
	var agents []string
	for i := range 20 {
		agents = append(agents, fmt.Sprintf("a%02d", i))
	}
	f := newFeed(t, set, SessionOptions{})
	beat(f, 0, 10*time.Minute, agents...)
	beat(f, 10*time.Minute, 40*time.Minute, agents[10:]...)
	f.expect(
		"14m7s firing rule 2 x/windows 8", // 20 % of 20, twice that while the past is short: at the eighth that is overdue.
	)
	hosts := f.alerts[0]["edr"].(map[string]any)["alert"].(map[string]any)["hosts"].([]any)
	if len(hosts) != 8 || hosts[0] != "a00" {
		t.Errorf("hosts = %v", hosts)
	}
	beat(f, 40*time.Minute, 41*time.Minute, agents[1:]...)
	beat(f, 41*time.Minute, 60*time.Minute, agents[1:]...)
	got := f.said()
	if len(got) != 3 || !strings.HasSuffix(got[1], "resolved rule 2 x/windows 1") || !strings.HasSuffix(got[2], "firing rule 1 a00 1") {
		t.Errorf("after the return of all but one: %q", got)
	}
	if alert := f.alerts[0]["edr"].(map[string]any)["alert"].(map[string]any); alert["denominator"] != 20.0 {
		t.Errorf("denominator = %v", alert["denominator"])
	}
}

// TestEviction checks that keys are bounded and that what is forgotten is
// counted.
func TestEviction(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "threshold", "condition: event.action == \"error\"\nwindow: 1h\nhaving: {gte: 2}"))
	f := newFeed(t, set, SessionOptions{MaxKeys: 10})
	for i := range 100 {
		f.send(time.Duration(i), "event.action", "error", "agent.id", fmt.Sprint(i))
	}
	f.s.Publish()
	if c := set.Counters()[0]; c.Keys != 10 || c.Evicted != 90 {
		t.Errorf("keys %d, evicted %d, want 10 and 90", c.Keys, c.Evicted)
	}
	f.s.Close()
	if c := set.Counters()[0]; c.Keys != 0 {
		t.Errorf("keys after Close: %d", c.Keys)
	}
}

// TestDeterminism plays a random stream through the library twice and, split
// by agent over two sessions, once more: the alerts about single agents are
// the same, whole documents included.
func TestDeterminism(t *testing.T) {
	dict := dictionary(t)
	files, err := Parse(Library())
	if err != nil {
		t.Fatal(err)
	}
	set, err := files.Compile(dict)
	if err != nil {
		t.Fatal(err)
	}
	play := func(keep func(agent int) bool) []string {
		r := rand.New(rand.NewPCG(7, 8))
		f := newFeed(t, set, SessionOptions{})
		defer f.s.Close()
		for i := range 6000 {
			agent := r.IntN(40)
			at := time.Duration(i) * 5 * time.Second
			act := ecs.Actions()[r.IntN(len(ecs.Actions()))].Name
			happened := at - time.Duration(r.IntN(60))*time.Second
			cpu := float64(r.IntN(110))
			state := []string{"protecting", "reduced", "disabled"}[r.IntN(3)]
			if !keep(agent) {
				f.advance(at)
				continue
			}
			f.late(at, happened, "event.action", act, "agent.id", fmt.Sprintf("agent-%d", agent), "host.type", "server",
				"edr.resource.cpu_pct", cpu, "edr.state", state)
		}
		var host []string
		for i, a := range f.alerts {
			alert := a["edr"].(map[string]any)["alert"].(map[string]any)
			// Who shares a session decides whether a cohort stands for a silence.
			if alert["scope"] == "host" && alert["kind"] != "silent_host" {
				host = append(host, f.bodies[i])
			}
		}
		return host
	}
	all := func(int) bool { return true }
	first := play(all)
	if again := play(all); !slices.Equal(first, again) {
		t.Fatal("two runs differ")
	}
	if len(first) < 100 {
		t.Fatalf("only %d alerts", len(first))
	}
	split := append(play(func(a int) bool { return a%2 == 0 }), play(func(a int) bool { return a%2 == 1 })...)
	slices.Sort(first)
	slices.Sort(split)
	if !slices.Equal(first, split) {
		for _, body := range first {
			if !slices.Contains(split, body) {
				t.Errorf("only whole: %s", body)
				break
			}
		}
		for _, body := range split {
			if !slices.Contains(first, body) {
				t.Errorf("only split: %s", body)
				break
			}
		}
		t.Errorf("%d alerts whole, %d split", len(first), len(split))
	}
}

func lookup(tb testing.TB, f *feed, name string) ecs.ID {
	tb.Helper()
	id, ok := f.e.Dictionary().Lookup(name)
	if !ok {
		tb.Fatalf("no field %s", name)
	}
	return id
}

// TestErrorsAreCounted tells what could not be computed from what is missing.
func TestErrorsAreCounted(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "match", `condition: has(host.name) and int(host.name) > 5`))
	f := newFeed(t, set, SessionOptions{})
	f.send(0, "host.name", "7", "agent.id", "a")
	f.send(1, "host.name", "seven", "agent.id", "a")
	f.send(2, "host.name", "3", "agent.id", "a")
	f.s.Publish()
	if c := set.Counters()[0]; c.Matches != 1 || c.Errors != 1 || c.Absent != 0 || c.Candidates != 3 {
		t.Errorf("%+v", c)
	}
}
