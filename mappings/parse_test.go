package mappings

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// compileFiles parses and compiles files given by path and text. Files that do
// not say whose voice their records are get it at their end, where it moves no
// line.
func compileFiles(t testing.TB, files map[string]string) (*Plan, error) {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		if strings.HasSuffix(name, ".yml") && strings.Contains(text, "dataset:") && !strings.Contains(text, "\nsplit:") && !strings.Contains(text, "voice:") {
			text += "voice: agent\n"
		}
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return compileAll(t, fsys)
}

func compileAll(t testing.TB, fsys ...fs.FS) (*Plan, error) {
	t.Helper()
	parsed, err := Parse(fsys...)
	if err != nil {
		return nil, err
	}
	dict, err := ecs.New(parsed.Fields()...)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Compile(dict)
}

const header = "vendor: Example\ndataset: example.health\nmatch: [{probe: \"*\"}]\n"

func TestLoadErrors(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"unknown key", header + "feilds: {}\n", `v/a.yml:4:1: unknown key "feilds" (did you mean "fields"?)`},
		{"no dataset", "vendor: Example\nmatch: [{probe: \"*\"}]\n", `v/a.yml:1:1: missing key "dataset"`},
		{"takes nothing", "vendor: Example\ndataset: a.b\n", `v/a.yml:1:1: the file does not say which records it takes (name keys that its records have, such as match: [{event_simpleName: "*"}])`},
		{"unknown field", header + "fields:\n  agent.verison: version\n", `v/a.yml:5:3: unknown field "agent.verison" (did you mean "agent.version"?)`},
		{"own field without a type", header + "set:\n  example.level: high\n", `v/a.yml:5:3: unknown field "example.level" (declare its type under names)`},
		{"object", header + "fields:\n  host.os: os\n", `v/a.yml:5:3: field "host.os" is an object (name one of the fields below it)`},
		{"unknown action", header + "action: sensor-hartbeat\n", `v/a.yml:4:9: unknown action "sensor-hartbeat" (did you mean "sensor-heartbeat"?)`},
		{"action of a map", header + "action: {from: a, map: {x: sensor-hartbeat}}\n", `v/a.yml:4:28: "sensor-hartbeat" is not a value of event.action (did you mean "sensor-heartbeat"?)`},
		{"value outside of a vocabulary", header + "set: {edr.state: protected}\n", `v/a.yml:4:18: "protected" is not a value of edr.state (did you mean "protecting"?)`},
		{"constant of another type", header + "set: {edr.resource.cpu_pct: high}\n", `v/a.yml:4:29: expected a value for edr.resource.cpu_pct (number), found string "high"`},
		{"unknown conversion", header + "fields: {error.code: {from: code, as: hax}}\n", `v/a.yml:4:39: unknown conversion "hax": expected one of `},
		{"unknown time format", header + "timestamp: [{from: t, format: epoch_msec}]\n", `v/a.yml:4:31: unknown time format "epoch_msec": expected one of `},
		{"unknown zone", header + "zone: Mars/Olympus\n", `v/a.yml:4:7: unknown time zone "Mars/Olympus" (a name of the IANA database such as Europe/Paris)`},
		{"unknown table", header + "enrich: [{lookup: agents, from: a, fields: {agent.type: type}}]\n", `v/a.yml:4:19: unknown lookup table "agents": declare it under lookups`},
		{"unknown format to unfold", header + "unfold: [{from: a, as: jsn}]\n", `v/a.yml:4:24: unknown format "jsn": expected one of `},
		{"pairs of what", header + "unfold: [{from: a, as: pairs}]\n", `v/a.yml:4:24: pairs needs key and value, the members that hold name and value (such as key: Key and value: ValueString)`},
		{"missing table", header + "lookups: {x: {file: x.csv, key: a}}\n", `v/a.yml:4:21: lookup table "v/x.csv" does not exist (the path is relative to this file)`},
		{"event without meaning", header + "by: [probe]\nevents: {beat: {set: {edr.state: protecting}}}\n", `v/a.yml:5:10: event has no action`},
		{"events without a key", header + "events: {beat: {action: other}}\n", `v/a.yml:4:9: events needs by, the path of the event's name (such as by: [event_simpleName])`},
		{"empty key in a path", "vendor: E\ndataset: a.b\nmatch: [{a..b: x}]\n", `v/a.yml:3:10: expected a path such as winlog.event_data.param1, found "a..b"`},
		{"star in the middle", header + "cases: [{when: {a: \"x*y\"}}]\n", `v/a.yml:4:20: expected * at the beginning or the end only, found string "x*y"`},
		{"expression of an unknown name", header + "expr: {event.reason: 'txt(\"a\")'}\n", `v/a.yml:4:23: unknown name txt`},
		{"expression that loops", header + "expr: {event.reason: 'repeat(\"a\", 9)'}\n", `v/a.yml:4:23: unknown name repeat`},
		{"expression of a computed path", header + "expr: {event.reason: 'text(\"a\" + \"b\")'}\n", `expected a constant text as the argument of text`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := compileFiles(t, map[string]string{"v/a.yml": tc.text})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestAmbiguityIsAnError(t *testing.T) {
	a := "vendor: A\ndataset: a.a\nmatch: [{kind: [x, y], probe: \"*\"}]\n"
	b := "vendor: B\ndataset: b.b\nmatch: [{probe: \"*\", kind: Y}]\n"
	_, err := compileFiles(t, map[string]string{"a.yml": a, "b.yml": b + "topics: [tb]\n"})
	if err != nil {
		t.Fatalf("b is more specific, but: %v", err)
	}
	a = "vendor: A\ndataset: a.a\ntopics: [ta]\nmatch: [{kind: y, probe: \"*\"}]\n"
	b += "topics: [tb]\n"
	_, err = compileFiles(t, map[string]string{"a.yml": a, "b.yml": b})
	if want := "b.yml:3:9: a record of this shape could also be a.a (a.yml:4:9) (add a condition to one of them, or say in one file that it goes before the other, such as before: [a.a])"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	plan, err := compileFiles(t, map[string]string{"a.yml": a + "before: [b.b]\n", "b.yml": b})
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]string{"ta": "a.a", "tb": "b.b", "other": "a.a"} {
		if got := mapped(t, plan, topic, `{"probe":1,"kind":"y"}`).Mapped; got != want {
			t.Errorf("topic %s: mapped by %s, want %s", topic, got, want)
		}
	}
}

// mapped returns the first event of a record, valid until the next call of its
// mapper, which nobody else has.
func mapped(t testing.TB, plan *Plan, topic, raw string) *event.Event {
	t.Helper()
	var out *event.Event
	if err := plan.NewMapper().Map(&event.Partition{Topic: topic}, &event.Record{Value: []byte(raw)}, func(e *event.Event) { out = e }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLanguage(t *testing.T) {
	const file = header + `
zone: Europe/Paris
absent: [none]
names: {level: long}
drop: [noise]
aliases: {data: [Event.Data, ""], data.first: ["Event.Data.#text.0"]}
lookups:
  codes: {file: codes.yml, key: code}
timestamp:
  - {from: at.ms, format: epoch_ms}
  - {from: at.file, format: filetime}
  - {from: at.local, format: "02.01.2006 15:04:05"}
  - {from: at.iso}
record_id: [probe, [id, Id]]
fields:
  agent.id: [serial, probe]
  host.ip: {from: addresses, split: ";"}
  edr.isolated: contained
  edr.resource.cpu_pct: {from: cpu, scale: 100}
  edr.resource.memory_bytes: {from: mem, as: hex_number}
  edr.resource.uptime: uptime
  edr.privilege.capabilities: {from: rights, bits: {0: read, 3: write}}
  edr.mode: {from: mode, map: {k: kernel, "e*": ebpf}, otherwise: unknown}
  edr.policy.name: {from: policy, default: standard}
  error.message: {from: code, lookup: codes, column: text}
  host.name: {from: host, as: lower}
  event.reason: {from: words, join: " "}
  process.name: data.first
expr:
  edr.content.version: 'has("v.major") ? text("v.major") + "." + text("v.minor") : ""'
cases:
  - when: {cpu: "*"}
    unless: {mode: k}
    action: resource-usage
  - having: {edr.mode: kernel}
    action: sensor-heartbeat
`
	plan, err := compileFiles(t, map[string]string{"a.yml": file, "codes.yml": "- {code: E1, text: broken}\n- {code: e2, text: slow}\n"})
	if err != nil {
		t.Fatal(err)
	}
	const prefix = `"ecs":{"version":"9.4.0"}`
	for _, tc := range []struct{ name, raw, want string }{
		{"numbers given as texts", `{"probe":"p","cpu":"0.125","mem":"0x10","uptime":"60.0","level":"7","contained":"yes"}`,
			`"isolated":true`},
		{"bad numbers stay raw", `{"probe":"p","uptime":"long","level":"x"}`, `"example":{"uptime":"long","level":"x"}`},
		{"a typed name of one's own", `{"probe":"p","level":"7"}`, `"example":{"level":7}`},
		{"a text that means none", `{"probe":"p","serial":"none","policy":"none"}`, `"agent":{"id":"p"}`},
		{"the default", `{"probe":"p"}`, `"policy":{"name":"standard"}`},
		{"valid addresses of a list", `{"probe":"p","addresses":"192.0.2.1; 999;2001:db8::1"}`, `"ip":["192.0.2.1","2001:db8::1"]`},
		{"an array", `{"probe":"p","addresses":["192.0.2.1","x"]}`, `"ip":["192.0.2.1"]`},
		{"an array that is joined", `{"probe":"p","words":["a","b\n"]}`, `"reason":"a b\n"`},
		{"a bit mask", `{"probe":"p","rights":9}`, `"capabilities":["read","write"]`},
		{"a map by pattern", `{"probe":"p","mode":"EBPF"}`, `"mode":"ebpf"`},
		{"a map with an unknown value", `{"probe":"p","mode":"z"}`, `"example":{"mode":"z"}`},
		{"a table in YAML", `{"probe":"p","code":"e1"}`, `"message":"broken"`},
		{"an expression", `{"probe":"p","v":{"major":1,"minor":"2"}}`, `"content":{"version":"1.2"}`},
		{"escapes", `{"probe":"p","host":"PC-\u00c9\n1"}`, `"name":"pc-é\n1"`},
		{"a case", `{"probe":"p","cpu":0.5}`, `"action":"resource-usage"`},
		{"an exception to a case", `{"probe":"p","cpu":0.5,"mode":"k"}`, `"action":"sensor-heartbeat"`},
		{"a case on the event", `{"probe":"p","mode":"K"}`, `"action":"sensor-heartbeat"`},
		{"milliseconds", `{"probe":"p","at":{"ms":"1721362140123"}}`, `"@timestamp":"2024-07-19T04:09:00.123Z"`},
		{"FILETIME", `{"probe":"p","at":{"file":133658357400000000}}`, `"@timestamp":"2024-07-19T04:09:00.000Z"`},
		{"local time of the zone", `{"probe":"p","at":{"local":"19.07.2024 06:09:00"}}`, `"@timestamp":"2024-07-19T04:09:00.000Z"`},
		{"ISO without an offset", `{"probe":"p","at":{"iso":"2024-07-19 06:09:00,5"}}`, `"@timestamp":"2024-07-19T04:09:00.500Z"`},
		{"ISO with an offset", `{"probe":"p","at":{"iso":"2024-07-19T06:09:00+0200"}}`, `"@timestamp":"2024-07-19T04:09:00.000Z"`},
		{"a number where ISO is usual", `{"probe":"p","at":{"iso":1721362140}}`, `"@timestamp":"2024-07-19T04:09:00.000Z"`},
		{"a time that is none stays raw", `{"probe":"p","at":{"iso":"1601-01-01T00:00:00Z"}}`, `"example":{"at":{"iso":"1601-01-01T00:00:00Z"}}`},
		{"the last of a repeated key", `{"probe":"p","at":{"ms":5},"at":{"iso":"2024-07-19T04:09:00Z"},"probe":"q"}`, `"agent":{"id":"q"}`},
		{"a key with escapes", `{"pr\u006fbe":"p"}`, `"agent":{"id":"p"}`},
		{"one dotted key for nested ones", `{"probe":"p","at.ms":1721362140123}`, `"@timestamp":"2024-07-19T04:09:00.123Z"`},
		{"an alias", `{"probe":"p","Event":{"Data":{"first":"a.exe"}}}`, `"process":{"name":"a.exe"}`},
		{"an alias for the record", `{"probe":"p","first":"a.exe"}`, `"process":{"name":"a.exe"}`},
		{"a place in an array", `{"probe":"p","Event":{"Data":{"#text":["a.exe","1.0"]}}}`, `"process":{"name":"a.exe"}`},
		{"dropped noise", `{"probe":"p","noise":{"a":1}}`, prefix + `,"edr"`},
		{"what is left over", `{"probe":"p","x":{"y":[1,{"z":null}]},"empty":"","nil":null}`, `"example":{"x":{"y":[1,{"z":null}]}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := string(mapped(t, plan, "", tc.raw).AppendJSON(nil))
			if !strings.Contains(got, tc.want) {
				t.Errorf("got  %s\nwant it to contain %s", got, tc.want)
			}
		})
	}
	if got := mapped(t, plan, "", `{"probe":"p","Id":7}`).RecordID; got != "example.health|p|7" {
		t.Errorf("record id %q", got)
	}
	if got := mapped(t, plan, "", `{"probe":"p"}`).RecordID; got != "" {
		t.Errorf("record id %q of a record without all of its parts", got)
	}
}

func TestUserFiles(t *testing.T) {
	user := fstest.MapFS{
		"agents.csv":                {Data: []byte("kind,name,type,vendor,product\nservice,ExampleGuard,example-guard,Example,Guard\n")},
		"example/guard.yml":         {Data: []byte(header + "voice: agent\n")},
		"crowdstrike/aidmaster.yml": {Data: []byte("vendor: CrowdStrike\ndataset: crowdstrike.aidmaster\nvoice: server\nmatch: [{aid: \"*\", FirstSeen: \"*\", Time: \"*\"}]\naction: inventory\n")},
	}
	plan, err := compileAll(t, Library(), user)
	if err != nil {
		t.Fatal(err)
	}
	e := mapped(t, plan, "", `{"winlog":{"provider_name":"Service Control Manager","event_id":7034,"event_data":{"param1":"exampleguard","param2":"1"}}}`)
	if got := e.Str(ecs.AgentType); got != "example-guard" {
		t.Errorf("the user's row gives agent.type %q", got)
	}
	if e := mapped(t, plan, "", `{"probe":1}`); e.Mapped != "example.health" {
		t.Errorf("the user's file does not take its record: %q", e.Mapped)
	}
	if e := mapped(t, plan, "", `{"aid":"a","FirstSeen":"1","Time":"1721362140"}`); e.Has(ecs.AgentType) {
		t.Error("the user's file does not replace the shipped one")
	}
}

func TestMapErrors(t *testing.T) {
	m := libraryPlan(t).NewMapper()
	for _, tc := range []struct {
		name, raw, want string
		reason          fault.Reason
	}{
		{"tombstone", "", "reading JSON: expected an object, found an empty record", fault.Unparsable},
		{"list", ` [1]`, "reading JSON: offset 1: expected an object, found a list", fault.Unparsable},
		{"text", `"x"`, "reading JSON: offset 1: expected an object, found a string", fault.Unparsable},
		{"cut off", `{"aid":"x"`, "reading JSON: offset 10: expected ',' or '}', found the end of the record", fault.Unparsable},
		{"not an object in an envelope", `{"records":[{},7]}`, `reading JSON: offset 15: expected an object in the list of records, found "7"`, fault.Unparsable},
		{"too large", `{"a":"` + strings.Repeat("x", 8<<20) + `"}`, "reading JSON: offset 0: expected at most 8388608 bytes, found 8388616 bytes", fault.TooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := m.Map(&event.Partition{}, &event.Record{Value: []byte(tc.raw)}, func(*event.Event) { t.Error("an event of a bad record") })
			var f *fault.Error
			if !errors.As(err, &f) || f.Class != fault.Permanent || f.Reason != tc.reason || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestMapAllocatesNothing(t *testing.T) {
	plan := libraryPlan(t)
	for name, raw := range map[string]string{
		"flat":   `{"event_simpleName":"SensorHeartbeat","aid":"a","cid":"c","timestamp":"1721362140123","SensorStateBitMap":"2","ComputerName":"PC-1","Tags":"a, b"}`,
		"nested": `{"@timestamp":"2024-07-19T04:09:00Z","winlog":{"provider_name":"Service Control Manager","event_id":"7036","event_data":{"param1":"Sense","param2":"Stopped"}},"host":{"name":"PC-1","ip":["192.0.2.1"]}}`,
	} {
		m := plan.NewMapper()
		record, partition, emit := &event.Record{Value: []byte(raw)}, &event.Partition{}, func(*event.Event) {}
		if allocs := testing.AllocsPerRun(100, func() { _ = m.Map(partition, record, emit) }); allocs != 0 {
			t.Errorf("%s: %v allocations for each record", name, allocs)
		}
	}
}

func TestKeepOriginal(t *testing.T) {
	const raw = `{"probe": "x"}`
	var got string
	m := libraryPlan(t).NewMapper(KeepOriginal())
	if err := m.Map(&event.Partition{}, &event.Record{Value: []byte(raw)}, func(e *event.Event) { got = e.Str(ecs.EventOriginal) }); err != nil || got != raw {
		t.Errorf("event.original %q, %v", got, err)
	}
}

func TestDeepValuesAreKeptAsText(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 30) + `"x"` + strings.Repeat("}", 30)
	got := string(mapped(t, libraryPlan(t), "", `{"deep":`+deep+`,"flat":1}`).AppendJSON(nil))
	if want := `"unmapped":{"deep":` + strconv.Quote(deep) + `,"flat":1}`; !strings.Contains(got, want) {
		t.Errorf("got  %s\nwant it to contain %s", got, want)
	}
}

func TestWideRecordIsKeptWhole(t *testing.T) {
	raw := `{"a0":0` + strings.Repeat(`,"b":1`, 5000) + `}`
	e := mapped(t, libraryPlan(t), "", raw)
	for key, fragment := range e.Extras {
		if key != "record" || fragment != raw {
			t.Errorf("kept %s: %.40s…", key, fragment)
		}
	}
}
