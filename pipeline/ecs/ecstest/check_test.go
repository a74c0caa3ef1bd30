package ecstest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

func TestCheck(t *testing.T) {
	dict, err := ecs.New(ecs.Field{Name: "acme.level", Type: "long"})
	if err != nil {
		t.Fatal(err)
	}
	checker, err := NewChecker(dict, "acme")
	if err != nil {
		t.Fatal(err)
	}
	const start = `{"@timestamp":"2024-07-19T04:09:00.000Z","ecs":{"version":"9.4.0"}`
	deep := strings.Repeat(`{"a":`, 21) + "1" + strings.Repeat("}", 21)
	for _, tc := range []struct {
		name, members string
		want          []string
	}{
		{"valid", `"agent":{"id":"a1"},"host":{"ip":["192.0.2.1","2001:db8::1"],"mac":["00-00-5E-00-53-23"],"uptime":7},` +
			`"event":{"kind":"event","category":["host"],"type":["start"],"outcome":"success","risk_score":1.5,"created":"2024-07-19T04:09:00Z"},` +
			`"edr":{"isolated":false,"alert":{"evidence":{"any":{"depth":[1]}}}},"acme":{"x.y":{"z":[1,"2"]},"level":3}`, nil},
		{"unknown name", `"host":{"nme":"x"}`, []string{"host.nme: no such field"}},
		{"unknown root", `"other":{"x":1}`, []string{"other: no such field"}},
		{"dotted key", `"host.name":"x"`, []string{"host.name: expected nested objects, found a dotted key"}},
		{"repeated key", `"host":{"name":"x","name":"y"}`, []string{"host.name: expected once, found a second time"}},
		{"text for number", `"event":{"severity":"47"}`, []string{`event.severity: expected a number of type long, found "47"`}},
		{"fraction for integer", `"event":{"severity":4.5}`, []string{"event.severity: expected a number of type long, found 4.5"}},
		{"number for text", `"event":{"code":7036}`, []string{"event.code: expected a text, found 7036"}},
		{"empty text", `"event":{"code":""}`, []string{`event.code: expected a text, found ""`}},
		{"null", `"event":{"code":null}`, []string{"event.code: expected a text, found null"}},
		{"boolean", `"edr":{"isolated":"no"}`, []string{`edr.isolated: expected true or false, found "no"`}},
		{"address", `"host":{"ip":["192.0.2.256"]}`, []string{`host.ip: expected an IP address, found "192.0.2.256"`}},
		{"time", `"event":{"created":"2024-07-19 04:09:00"}`, []string{`event.created: expected a time in RFC 3339, found "2024-07-19 04:09:00"`}},
		{"time as number", `"event":{"created":1721362140000}`, []string{"event.created: expected a time in RFC 3339, found 1721362140000"}},
		{"list for value", `"event":{"code":["1"]}`, []string{"event.code: expected one value, found a list"}},
		{"value for list", `"tags":"x"`, []string{`tags: expected a list, found "x"`}},
		{"empty list", `"tags":[]`, []string{"tags: expected a value or no field, found an empty list"}},
		{"object for value", `"host":{"name":{"x":1}}`, []string{"host.name: expected a text, found an object"}},
		{"value for object", `"host":"x"`, []string{`host: expected an object, found "x"`}},
		{"value for flattened", `"edr":{"alert":{"evidence":1}}`, []string{"edr.alert.evidence: expected an object, found 1"}},
		{"flattened too deep", `"edr":{"alert":{"evidence":` + deep + `}}`, []string{"edr.alert.evidence: expected at most 20 levels, found 21"}},
		{"kind", `"event":{"kind":"log"}`, []string{`event.kind: expected one of alert, asset, enrichment, event, metric, state, pipeline_error, signal, found "log"`}},
		{"state", `"edr":{"state":"fine"}`, []string{`edr.state: expected one of uninstalled, offline, disabled, reduced, degraded, isolated, protecting, unknown, found "fine"`}},
		{"address of a card", `"host":{"mac":["00:00:5e:00:53:23"]}`, []string{`host.mac: expected a text like ^[A-F0-9]{2}(-[A-F0-9]{2}){5,}$, found "00:00:5e:00:53:23"`}},
		{"unexpected type", `"event":{"category":["driver"],"type":["start","error"]}`, []string{`event.type: expected a type of driver, found "error"`}},
		{"category without type", `"event":{"category":["host","registry"],"type":["start"]}`, []string{"event.type: expected at least one type of registry, found start"}},
		{"typed name of a vendor", `"acme":{"level":"3"}`, []string{`acme.level: expected a number of type long, found "3"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := checker.Check([]byte(start + "," + tc.members + "}"))
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("got  %v\nwant %v", got, tc.want)
			}
		})
	}
	for doc, want := range map[string]string{
		`{}`:           "[@timestamp: expected in every document ecs.version: expected in every document]",
		`[]`:           "[expected an object, found a list]",
		`{"host":`:     "[expected JSON, found EOF]",
		start + "} {}": "[expected one JSON document, found text behind it]",
	} {
		if got := fmt.Sprint(checker.Check([]byte(doc))); got != want {
			t.Errorf("%s: got %s, want %s", doc, got, want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	dict, err := ecs.New()
	if err != nil {
		f.Fatal(err)
	}
	checker, err := NewChecker(dict)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"@timestamp":"2024-07-19T04:09:00.000Z","ecs":{"version":"9.4.0"},"tags":["x",[1]]}`))
	f.Fuzz(func(_ *testing.T, doc []byte) { checker.Check(doc) })
}
