package rules

import (
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// TestException takes a host out of a rule until the exception's day.
func TestException(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "match", `condition: event.action == "log-cleared"
exceptions:
  - {name: image build, when: host.name startsWith "build-", owner: platform team, expires: 2024-07-20}`))
	f := newFeed(t, set, SessionOptions{})
	send := func(at time.Duration, host string) {
		f.send(at, "event.action", "log-cleared", "agent.id", host, "host.name", host)
	}
	send(0, "build-1")
	send(time.Minute, "server-1")
	send(24*time.Hour, "build-1")
	f.expect("1m0s firing rule 1 server-1 1", "24h0m0s firing rule 1 build-1 1")
	f.s.Close()
	if c := set.Counters()[0]; c.Excepted != 1 || c.Matches != 3 {
		t.Errorf("counters %+v", c)
	}
	for day, want := range map[string]string{
		"2024-06-01": "", "2024-07-10": "expires on 2024-07-20", "2024-07-20": "has expired on 2024-07-20",
	} {
		now, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, p := range set.Expiring(now, 14*24*time.Hour) {
			got += p.String()
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("on %s: %q, want %q", day, got, want)
		}
	}
}

// TestShadow judges and counts without a word.
func TestShadow(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "match", "condition: event.action == \"log-cleared\"\nstage: shadow"))
	f := newFeed(t, set, SessionOptions{})
	f.send(0, "event.action", "log-cleared", "agent.id", "a")
	f.expect()
	if f.e.Has(lookup(t, f, "edr.rules")) {
		t.Error("a shadow rule is named on the event")
	}
	f.s.Close()
	if c := set.Counters()[0]; c.Shadowed != 1 || c.Alerts != 0 {
		t.Errorf("counters %+v", c)
	}
}

// TestSeverityMapping raises a severity for some events, for the whole episode.
func TestSeverityMapping(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "match", `condition: event.action == "log-cleared"
suppress: 5m
severity_mapping:
  - {when: host.type == "server", severity: high}
risk_score_mapping:
  - {when: host.name == "dc-1", risk_score: 99}`))
	f := newFeed(t, set, SessionOptions{})
	f.send(0, "event.action", "log-cleared", "agent.id", "a", "host.type", "server", "host.name", "s-1")
	f.send(0, "event.action", "log-cleared", "agent.id", "b", "host.type", "server", "host.name", "dc-1")
	f.send(0, "event.action", "log-cleared", "agent.id", "c")
	f.advance(10 * time.Minute)
	want := []string{"high 73", "high 99", "low 21", "high 73", "high 99", "low 21"}
	for i, a := range f.alerts {
		severity := a["edr"].(map[string]any)["alert"].(map[string]any)["severity"].(string)
		if got := severity + " " + wording.Decimal(a["event"].(map[string]any)["risk_score"].(float64)); got != want[i] {
			t.Errorf("alert %d is %s, want %s", i, got, want[i])
		}
	}
	if len(f.alerts) != len(want) {
		t.Errorf("%d alerts", len(f.alerts))
	}
}

// TestDefinitions uses lists and macros, and reports their mistakes once.
func TestDefinitions(t *testing.T) {
	defs := `---
list: agent_ends
items: [sensor-stopped, sensor-crashed]
---
macro: on_server
condition: host.type == "server"
---
macro: ended
condition: on_server and event.action in agent_ends
`
	f := newFeed(t, compileRules(t, dictionary(t), defs+ruleYAML(1, "match", "condition: ended and not (host.name == \"x\")")), SessionOptions{})
	f.send(0, "event.action", "sensor-crashed", "agent.id", "a", "host.name", "y", "host.type", "server")
	f.send(0, "event.action", "sensor-crashed", "agent.id", "b", "host.name", "y", "host.type", "laptop")
	f.send(0, "event.action", "sensor-started", "agent.id", "c", "host.name", "y", "host.type", "server")
	f.expect("0s firing rule 1 a 1")
	if n := len(f.s.Ruleset().Always()); n > 0 {
		t.Error("a rule whose condition is a macro is not indexed")
	}

	for text, want := range map[string]string{
		"---\nmacro: a\ncondition: b\n---\nmacro: b\ncondition: a\n":           "macro a uses itself: a → b → a",
		"---\nmacro: a\ncondition: has(host.nam)\n":                            "unknown field \"host.nam\"",
		"---\nlist: a\nitems: [x]\n---\nmacro: a\ncondition: has(host.name)\n": "\"a\" is already defined at rules.yml:2",
		"---\nlist: message\nitems: [x]\n":                                     "is the name of a field",
		"---\nlist: A-b\nitems: [x]\n":                                         "is not a name",
	} {
		files, err := ParseFile("rules.yml", []byte(text+ruleYAML(1, "match", "condition: host.name == \"x\"")))
		if err == nil {
			_, err = files.Compile(dictionary(t))
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
