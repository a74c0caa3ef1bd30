package sigma_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules"
	"github.com/edrwatch/edrwatch/rules/sigma"
)

const header = `title: Test
id: 11111111-1111-4111-8111-111111111111
status: test
level: high
tags: [attack.defense-evasion, attack.t1562.001]
logsource: {product: windows}
`

func dictionary(tb testing.TB) *ecs.Dictionary {
	tb.Helper()
	d, err := ecs.New()
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func compile(tb testing.TB, dict *ecs.Dictionary, src string) *rules.Ruleset {
	tb.Helper()
	out, err := sigma.Convert("sigma.yml", []byte(src), sigma.Options{Dictionary: dict})
	if err != nil {
		tb.Fatal(err)
	}
	files, err := rules.ParseFile("converted.yml", out)
	if err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	set, err := files.Compile(dict)
	if err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	return set
}

// fill makes an event of Windows from pairs of field and value.
func fill(tb testing.TB, e *event.Event, fields map[string]any) {
	tb.Helper()
	e.Reset()
	e.SetString(ecs.HostOSType, "windows")
	e.SetString(ecs.AgentID, "a")
	for name, v := range fields {
		id, ok := e.Dictionary().Lookup(name)
		if !ok {
			tb.Fatalf("no field %s", name)
		}
		switch v := v.(type) {
		case string:
			e.SetString(id, v)
		case []string:
			e.Set(id, event.StringList(v))
		case int:
			e.Set(id, event.Int(int64(v)))
		}
	}
}

// TestDetections holds conversions against what Sigma's specification says
// that they match.
func TestDetections(t *testing.T) {
	type fields = map[string]any
	dict := dictionary(t)
	for _, tc := range []struct {
		name, detection string
		match, not      []fields
	}{
		{"a plain value ignores case", "s: {Image: 'C:\\Windows\\System32\\sc.exe'}\n  condition: s",
			[]fields{{"process.executable": `c:\windows\system32\SC.EXE`}},
			[]fields{{"process.executable": `c:\windows\system32\SC.EXE2`}, {}}},
		{"wildcards", "s: {Image: '*\\sc.ex?'}\n  condition: s",
			[]fields{{"process.executable": `c:\Sc.exe`}}, []fields{{"process.executable": `sc.exe`}, {"process.executable": `c:\sc.ex`}}},
		{"escaped wildcard", `s: {CommandLine: 'a\*b'}` + "\n  condition: s",
			[]fields{{"process.command_line": "A*B"}}, []fields{{"process.command_line": "axb"}}},
		{"values are alternatives", "s: {CommandLine|contains: [stop, delete]}\n  condition: s",
			[]fields{{"process.command_line": "sc STOP x"}, {"process.command_line": "sc delete x"}}, []fields{{"process.command_line": "sc query"}}},
		{"all values", "s: {CommandLine|contains|all: [stop, sense]}\n  condition: s",
			[]fields{{"process.command_line": "stop Sense"}}, []fields{{"process.command_line": "stop it"}}},
		{"ends with, on a path", "s: {Image|endswith: '\\sc.exe'}\n  condition: s",
			[]fields{{"process.executable": `C:\x\SC.exe`}}, []fields{{"process.executable": `C:\x\sc.exe.txt`}, {"process.executable": `C:\xsc.exe`}}},
		{"starts with a folder", "s: {Image|startswith: 'C:\\Temp\\'}\n  condition: s",
			[]fields{{"process.executable": `c:\temp\a.exe`}}, []fields{{"process.executable": `c:\temporary`}}},
		{"cased", "s: {CommandLine|contains|cased: Stop}\n  condition: s",
			[]fields{{"process.command_line": "a Stop b"}}, []fields{{"process.command_line": "a stop b"}}},
		{"regular expression", "s: {CommandLine|re: 'st[ao]p$'}\n  condition: s",
			[]fields{{"process.command_line": "x stap"}}, []fields{{"process.command_line": "x STAP"}}},
		{"regular expression without case", "s: {CommandLine|re|i: 'st[ao]p$'}\n  condition: s",
			[]fields{{"process.command_line": "x STAP"}}, []fields{{"process.command_line": "x stip"}}},
		{"network", "s: {DestinationIp|cidr: [10.0.0.0/8, 'fd00::/8']}\n  condition: s",
			[]fields{{"destination.ip": "10.1.2.3"}, {"destination.ip": "fd00::1"}}, []fields{{"destination.ip": "11.1.2.3"}}},
		{"exists", "s: {QueryName|exists: true, User|exists: false}\n  condition: s",
			[]fields{{"dns.question.name": "x"}}, []fields{{"dns.question.name": "x", "user.name": "u"}, {}}},
		{"null and empty", "s: {User: null, CommandLine: ''}\n  condition: s",
			[]fields{{"process.command_line": ""}}, []fields{{"process.command_line": "", "user.name": "u"}, {}}},
		{"numbers", "s: {DestinationPort|gte: 1024, SourcePort: [80, 443]}\n  condition: s",
			[]fields{{"destination.port": 1024, "source.port": 443}}, []fields{{"destination.port": 1023, "source.port": 443}, {"destination.port": 1024}}},
		{"event ids", "s: {EventID: [5001, 5010]}\n  condition: s",
			[]fields{{"event.code": "5010"}}, []fields{{"event.code": "50101"}, {}}},
		{"another field", "s: {Image|fieldref: ParentImage}\n  condition: s",
			[]fields{{"process.executable": "A", "process.parent.executable": "a"}}, []fields{{"process.executable": "A"}, {"process.executable": "A", "process.parent.executable": "b"}}},
		{"a filter on a missing field does not filter", "s: {EventID: 1}\n  filter: {User|startswith: SYS}\n  condition: s and not filter",
			[]fields{{"event.code": "1"}, {"event.code": "1", "user.name": "bob"}}, []fields{{"event.code": "1", "user.name": "System"}}},
		{"a filter of a list", "s: {EventID: 1}\n  filter_a: {User: x, CommandLine: y}\n  filter_b: [{User: z}, {CommandLine: null}]\n  condition: s and not 1 of filter_*",
			[]fields{{"event.code": "1", "user.name": "x", "process.command_line": "n"}},
			[]fields{{"event.code": "1", "user.name": "x", "process.command_line": "y"}, {"event.code": "1", "user.name": "n"}, {"event.code": "1", "user.name": "z", "process.command_line": "n"}}},
		{"neq", "s: {EventID: 1, User|neq: bob}\n  condition: s",
			[]fields{{"event.code": "1", "user.name": "ann"}, {"event.code": "1"}}, []fields{{"event.code": "1", "user.name": "Bob"}}},
		{"keywords", "keywords: [tamper, 'switched * off']\n  condition: keywords",
			[]fields{{"message": "a Tampering b"}, {"message": "switched it off"}}, []fields{{"message": "fine"}, {}}},
		{"all of them", "a: {EventID: 1}\n  b: {User: x}\n  _c: {User: y}\n  condition: all of them",
			[]fields{{"event.code": "1", "user.name": "X"}}, []fields{{"event.code": "1"}}},
		{"windash", "s: {CommandLine|windash|contains: ' -stop'}\n  condition: s",
			[]fields{{"process.command_line": "x /stop"}, {"process.command_line": "x –stop"}, {"process.command_line": "x -STOP"}}, []fields{{"process.command_line": "x +stop"}}},
		{"base64", "s: {CommandLine|base64: foo}\n  condition: s", []fields{{"process.command_line": "Zm9v"}}, []fields{{"process.command_line": "xZm9v"}}},
		{"base64offset", "s: {CommandLine|base64offset|contains: 'http://'}\n  condition: s",
			[]fields{{"process.command_line": "x aHR0cDovL y"}, {"process.command_line": "odHRwOi8v"}, {"process.command_line": "xIaHR0cDovL"}, {"process.command_line": "h0dHA6Ly"}},
			[]fields{{"process.command_line": "http://"}}},
		{"parentheses bind", "a: {EventID: 1}\n  b: {EventID: 2}\n  c: {User: u}\n  condition: (a or b) and c",
			[]fields{{"event.code": "2", "user.name": "u"}}, []fields{{"event.code": "2"}}},
		{"a list in the event", "s: {Details|contains: off}\n  condition: s",
			[]fields{{"registry.data.strings": []string{"a", "OFFline"}}}, []fields{{"registry.data.strings": []string{"a"}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := compile(t, dict, header+"detection:\n  "+tc.detection+"\n")
			e := event.New(dict)
			check := func(f fields, want bool) {
				t.Helper()
				fill(t, e, f)
				v := set.Explain(e)[0]
				if got := v.Result == "true"; got != want {
					t.Errorf("%v: %s is %s", f, v.Condition, v.Result)
				}
				if want && !v.Candidate {
					t.Errorf("%v: the index does not propose %s", f, v.Condition)
				}
			}
			for _, f := range tc.match {
				check(f, true)
			}
			for _, f := range tc.not {
				check(f, false)
			}
		})
	}
}

// TestCorrelations converts each type and plays events through it.
func TestCorrelations(t *testing.T) {
	dict := dictionary(t)
	base := func(name, id, code string) string {
		return fmt.Sprintf("title: %s\nname: %s\nid: %s\nlogsource: {product: windows}\ndetection: {s: {EventID: %s}, condition: s}\n---\n", name, name, id, code)
	}
	rulesText := base("stop", "11111111-1111-4111-8111-111111111111", "1") + base("start", "22222222-2222-4222-8222-222222222222", "2")
	head := "title: C\nid: 33333333-3333-4333-8333-333333333333\nlevel: medium\ncorrelation:\n  group-by: [User]\n  timespan: 10m\n"
	for _, tc := range []struct{ correlation, events, want string }{
		{"  type: event_count\n  rules: [stop]\n  condition: {gte: 3}\n", "1 1 2 1", "3m"},
		{"  type: value_count\n  rules: [stop]\n  condition: {gte: 2, field: Image}\n", "1a 1a 1b", "2m"},
		{"  type: temporal\n  rules: [stop, start]\n", "2 2 1", "2m"},
		{"  type: temporal_ordered\n  rules: [stop, start]\n", "2 1 1 2", "3m"},
		{"  type: value_sum\n  rules: [stop]\n  condition: {gt: 5, field: DestinationPort}\n", "1 1 1 1", "2m"},
	} {
		set := compile(t, dict, rulesText+head+tc.correlation)
		s := set.NewSession(rules.SessionOptions{})
		e := event.New(dict)
		base := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC).UnixNano()
		var got []string
		note := func(a *event.Event) {
			if a.Str(ecs.RuleName) == "C" {
				got = append(got, fmt.Sprintf("%dm", (a.Timestamp()-base)/int64(time.Minute)))
			}
		}
		at := base
		for i, code := range strings.Fields(tc.events) {
			at = base + int64(i)*int64(time.Minute)
			fill(t, e, map[string]any{"event.code": code[:1], "user.name": "u", "process.executable": code[1:] + ".exe", "destination.port": 2})
			e.Set(ecs.Timestamp, event.Time(at))
			s.Detect(at, e, note)
		}
		s.Detect(at+int64(10*time.Second), nil, note) // What counts many users is judged at the closing of a step.
		if !slices.Equal(got, []string{tc.want}) {
			t.Errorf("%s over %s: alerts at %v, want %s", strings.TrimSpace(tc.correlation), tc.events, got, tc.want)
		}
	}
}

// TestUnsupported names what has no counterpart, with its place.
func TestUnsupported(t *testing.T) {
	for src, want := range map[string]string{
		strings.Replace(header, "windows", "linux", 1) + "detection: {s: {Nonsense: x}, condition: s}\n": "sigma.yml:7:17: the field Nonsense has no counterpart",
		header + "detection: {s: {process.nam: x}, condition: s}\n":                                      "the field process.nam has no counterpart",
		header + "detection: {s: {CommandLine|expand: '%x%'}, condition: s}\n":                           "modifier expand needs the placeholders",
		header + "detection: {s: {CommandLine|frobnicate: x}, condition: s}\n":                           "modifier \"frobnicate\" is not supported",
		header + "detection: {s: {CommandLine|re: '(?=x)'}, condition: s}\n":                             "not one of RE2",
		header + "detection: {s: {EventID: 1}, condition: 's | count() > 5'}\n":                          "write a correlation",
		header + "detection: {s: {EventID: 1}, condition: s and t}\n":                                    "the condition names \"t\"",
		header + "detection: {s: {CommandLine|gt: 5}, condition: s}\n":                                   "is a text, and gt compares numbers",
		"title: T\nlogsource: {product: okta}\ndetection: {s: {EventID: 1}, condition: s}\n":             "product \"okta\"",
		"title: T\nid: x\ncorrelation: {type: event_count, rules: [y], timespan: 1m}\n":                  "\"y\" is no rule",
		header + "detection: {s: {EventID: 1}, condition: '1 of x*'}\n":                                  "fits none of s",
		header + "detection: {s: {EventID: 1}, condition: '(s'}\n":                                       "a ) is missing",
		"title: T\n": "neither detection nor correlation",
	} {
		_, err := sigma.Convert("sigma.yml", []byte(src), sigma.Options{Dictionary: dictionary(t)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nerror %v, want %s", src, err, want)
		}
	}
}

// FuzzConvert checks that whatever converts is YAML that the rule parser reads
// without a panic.
func FuzzConvert(f *testing.F) {
	f.Add(header + "detection: {s: {CommandLine|windash|contains: ' -a'}, condition: s and not 1 of s*}\n")
	f.Add("title: C\ncorrelation: {type: temporal, rules: [x], timespan: 1m}\n")
	dict, err := ecs.New()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src string) {
		out, err := sigma.Convert("sigma.yml", []byte(src), sigma.Options{Dictionary: dict})
		if err != nil {
			return
		}
		if files, err := rules.ParseFile("converted.yml", out); err == nil {
			_, _ = files.Compile(dict)
		}
	})
}
