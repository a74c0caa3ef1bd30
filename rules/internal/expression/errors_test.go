package expression

import (
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// TestProblems pins the messages that rule authors see.
func TestProblems(t *testing.T) {
	dict := dictionary(t)
	for _, tc := range []struct{ source, want string }{
		{`edr.resource.cpu_pc > 80`, `r.yml:1:1: unknown field "edr.resource.cpu_pc" (did you mean "edr.resource.cpu_pct"?)`},
		{`event.action == "x" and agent.idd == "y"`, `r.yml:1:25: unknown field "agent.idd" (did you mean "agent.id"?)`},
		{`host.os == "windows"`, `r.yml:1:1: "host.os" is a group of fields (name one of its fields, such as host.os.family)`},
		{`event.code == 7034`, `r.yml:1:12: event.code is a string and 7034 is a number: they cannot be compared (write "7034")`},
		{`edr.resource.cpu_pct > "80"`, `r.yml:1:22: edr.resource.cpu_pct is a number and "80" is a string: they cannot be compared (write 80 without quotes)`},
		{`edr.resource.cpu_pct`, `r.yml:1:1: the condition is a number, expected a boolean (compare it with something)`},
		{`event.action`, `r.yml:1:1: the condition is a string, expected a boolean (compare it with something)`},
		{`event.action == "a" and edr.resource.cpu_pct`, `r.yml:1:25: edr.resource.cpu_pct is a number, expected a boolean beside and`},
		{`event.action matches host.name`, `r.yml:1:22: the pattern after matches has to be a constant string`},
		{`event.action matches "("`, "r.yml:1:22: error parsing regexp: missing closing ): `(` (patterns have the syntax of https://github.com/google/re2/wiki/Syntax)"},
		{`hass(event.action)`, `r.yml:1:1: unknown function hass (did you mean has?)`},
		{`event.action == nil`, `r.yml:1:17: nil has no meaning in a condition (has(field) tells whether a field is present)`},
		{`event.action in []`, `r.yml:1:17: the list is empty`},
		{`event.action in ["a", 1]`, `r.yml:1:23: 1 does not fit a list for event.action, which is a string (the list holds constants of the same type)`},
		{`event.action in host.name`, `r.yml:1:17: host.name is not a list (write ["a", "b"] or the name of a field that holds a list)`},
		{`repeat("a", 1000000) == host.name`, `r.yml:1:1: function repeat is not allowed in a condition`},
		{`now() > event.created`, `r.yml:1:1: function now is not allowed in a condition`},
		{`all(event.category, any(event.type, # == "x"))`, `r.yml:1:1: ranges and loops inside loops are not allowed here`},
		{`let x = 1; x == 1`, `r.yml:1:5: let is not supported in a condition`},
		{`event.action ==`, `r.yml:1:15: unexpected token EOF`},
		{``, `r.yml:1:1: the condition is empty (write an expression such as event.action == "sensor-crashed")`},
		{`field("nope") == "x"`, `r.yml:1:1: unknown field "nope"`},
		{`field(host.name) == "x"`, `r.yml:1:1: field takes one constant name such as field("@timestamp")`},
		{`event.created > 5`, `r.yml:1:15: event.created is a time and 5 is a number: they cannot be compared`},
		{`version(agent.version) > "7.11"`, `r.yml:1:24: version(agent.version) is a version and "7.11" is a string: they cannot be compared (write version(…) on both sides)`},
		{`cidrMatch(host.ip, "10.0.0.0")`, `r.yml:1:20: netip.ParsePrefix("10.0.0.0"): no '/' (write 10.0.0.0/8 or fd00::/8)`},
		{`duration("5x") > duration("1m")`, `r.yml:1:10: `},
		{`host.geo.location == "x"`, `r.yml:1:19: host.geo.location is an object and "x" is a string: they cannot be compared`},
		{strings.Repeat(`has(host.name) and `, 150) + "true", `r.yml:1:1: the condition has more than 600 parts (split the rule)`},
		{strings.Repeat(" ", MaxText) + "true", `r.yml:1:1: the condition has 16388 bytes, more than 16384 (split the rule)`},
	} {
		x, problems, _ := Compile(strict.Text{Value: tc.source, File: "r.yml", Line: 1, Column: 1}, dict)
		if x != nil || len(problems) == 0 {
			t.Errorf("%.60s compiled", tc.source)
			continue
		}
		if got := problems[0].String(); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%.60s\ngot  %s\nwant %s", tc.source, got, tc.want)
		}
	}
}

// TestWarnings pins what is said about a condition that works but cannot be
// meant.
func TestWarnings(t *testing.T) {
	dict := dictionary(t)
	for source, want := range map[string]string{
		`event.action == "sensor-starte"`:          `r.yml:1:17: "sensor-starte" is not a value of event.action, so this is never true (did you mean "sensor-started"?)`,
		`edr.state in ["disabled", "of"]`:          `r.yml:1:27: "of" is not a value of edr.state, so this is never true`,
		`1 == 2 or event.action == "sensor-stopp"`: `r.yml:1:27: "sensor-stopp" is not a value of event.action, so this is never true (did you mean "sensor-stopped"?)`,
		`true`: `r.yml:1:1: the condition is always true`,
	} {
		x, problems, warnings := Compile(strict.Text{Value: source, File: "r.yml", Line: 1, Column: 1}, dict)
		if x == nil || len(warnings) != 1 {
			t.Errorf("%s: %v %v", source, problems, warnings)
			continue
		}
		if got := warnings[0].String(); !strings.HasPrefix(got, want) {
			t.Errorf("%s\ngot  %s\nwant %s", source, got, want)
		}
	}
}

// FuzzCompile checks that no text makes the compiler or a compiled condition
// panic, and that every problem has a position inside the text.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`event.action == "a" and not (edr.resource.cpu_pct >= 80)`, `event.category in ["a"] ? true : has(host.name)`,
		`any(event.category, # startsWith "ü") or version(agent.version) < version("7.11")`, `event.category[1:2] == x`,
		`cidrMatch(host.ip, "10.0.0.0/8") and len(lower(host.name)) ** 2 % 3 < -1.5`, `event.created - field("@timestamp") > duration("5m")`,
		`split(host.name, "-")[0] == "a"`, `(host.name ?? "x") matches "^a+$"`, `min(edr.restart.count, 3) in 1..2`, "((((((",
	} {
		f.Add(seed)
	}
	dict := dictionary(f)
	events := []*event.Event{sample(dict), event.New(dict)}
	f.Fuzz(func(t *testing.T, source string) {
		x, problems, _ := Compile(strict.Text{Value: source, File: "r.yml", Line: 1, Column: 1}, dict)
		if (x == nil) != (len(problems) > 0) {
			t.Fatalf("%q: expression %v, problems %v", source, x, problems)
		}
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 {
				t.Errorf("%q: position %d:%d", source, p.Line, p.Column)
			}
		}
		if x == nil {
			return
		}
		for _, e := range events {
			env := &Env{Event: e}
			first := x.Eval(env)
			if again := x.Eval(env); again != first {
				t.Errorf("%q is %s, then %s", source, first, again)
			}
			if first == True {
				checkAtoms(t, x, e)
			}
			x.Explain(env)
		}
	})
}
