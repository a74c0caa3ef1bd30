package mappings

import (
	"errors"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// all returns the documents that a record becomes.
func all(t testing.TB, plan *Plan, raw string) (documents []string, err error) {
	t.Helper()
	err = plan.NewMapper().Map(&event.Partition{}, &event.Record{Value: []byte(raw)}, func(e *event.Event) {
		documents = append(documents, string(e.AppendJSON(nil)))
	})
	return documents, err
}

// body leaves away what every document of the tests begins with.
func body(document string) string {
	_, rest, _ := strings.Cut(document, `"message":`)
	return rest
}

func compileOne(t testing.TB, text string) *Plan {
	t.Helper()
	plan, err := compileFiles(t, map[string]string{"v/a.yml": text})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestUnfold(t *testing.T) {
	const start = "vendor: Example\ndataset: example.health\nmatch: [{probe: \"*\"}]\n"
	for _, tc := range []struct{ name, file, raw, want string }{
		{
			"JSON in a text", "unfold: [{from: more, as: json}]\nfields: {message: more.status.name}\n",
			`{"probe":1,"more":"{\"status\":{\"name\":\"Bl\\u00f6cked\",\"n\":2},\"x\":[1]}","z":3}`,
			`"Bl` + "\\u00f6" + `cked","example":{"probe":1,"more.status.n":2,"more.x":[1],"z":3}}`,
		},
		{
			"what is not JSON stays", "unfold: [{from: more, as: json}]\nfields: {message: more}\n",
			`{"probe":1,"more":"{broken"}`, `"{broken","example":{"probe":1}}`,
		},
		{
			"pairs in place", "unfold: [{from: list, as: pairs, key: Key, value: ValueString}]\nfields: {message: list.seed.id}\n",
			`{"probe":1,"list":[{"Key":"seed.id","ValueString":"s"},{"Key":"b","ValueString":"2"},{"Key":7},3]}`, `"s","example":{"probe":1,"list.b":"2"}}`,
		},
		{
			"pairs of typed values", "unfold: [{from: list, as: pairs, key: key, value: value}]\nfields: {message: list.b}\n",
			`{"probe":1,"list":[{"key":"a","value":{"intValue":"5"}},{"key":"b","value":{"stringValue":"x"}}]}`, `"x","example":{"probe":1,"list.a":"5"}}`,
		},
		{
			"pairs as a member of their own", "unfold: [{from: p.list, as: pairs, key: name, value: status, to: by_name}]\nfields: {message: by_name.b}\ndrop: [by_name]\n",
			`{"probe":1,"p":{"list":[{"name":"a","status":"ok"},{"name":"b","status":"no"}]}}`,
			`"no","example":{"probe":1,"p":{"list":[{"name":"a","status":"ok"},{"name":"b","status":"no"}]}}}`,
		},
		{
			"pairs of key=value", "unfold: [{from: line, as: key_value, to: kv}]\nfields: {message: kv.lost}\ndrop: [line]\n",
			`{"line":"audit: lost=3 limit=\"8 k\"","probe":1}`, `"3","example":{"kv.limit":"8 k","probe":1}}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := all(t, compileOne(t, start+tc.file), tc.raw)
			if err != nil || len(got) != 1 || body(strings.ReplaceAll(got[0], "ö", `\u00f6`)) != tc.want {
				t.Errorf("got  %s (%v)\nwant %s", got, err, tc.want)
			}
		})
	}
}

// TestTextRecord maps records that are not JSON: by a file that knows their
// text, which then is their message.
func TestTextRecord(t *testing.T) {
	plan, err := compileFiles(t, map[string]string{
		"v/envelope.yml": "vendor: CEF\ndataset: cef.unknown\nmatch: [{message: \"*CEF:0|*\"}]\nunfold: [{from: message, as: cef, to: cef}]\n",
		"v/a.yml":        "vendor: Example\ndataset: example.audit\nmatch: [{cef.device.vendor: Example, cef.device.product: Guard}]\nfields: {message: cef.extensions.msg}\ndrop: [cef, message]\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := all(t, plan, "<14>Jul 19 04:09:00 gw CEF:0|Example|Guard|1|2|n|3|msg=went down\n")
	if err != nil || len(got) != 1 || body(got[0]) != `"went down"}` || !strings.Contains(got[0], "example.audit") {
		t.Errorf("got %s (%v)", got, err)
	}
	if got, err = all(t, plan, `{"message":"CEF:0|Other|Guard|1|2|n|3|a=b"}`); err != nil || !strings.Contains(got[0], "cef.unknown") {
		t.Errorf("got %s (%v)", got, err)
	}
	for raw, want := range map[string]string{
		"x CEF:0|Example|Guard|1":         "reading CEF: offset 23: expected '|' after field 4 of 7 of the header, found the end of the text",
		"a line of nobody":                `reading JSON: offset 0: expected a value, found "a"`,
		"\xff CEF:0|Example|Guard|1|2|n|": "reading JSON: offset 0: expected a value, found the byte 0xff, which is not UTF-8",
	} {
		_, err := all(t, plan, raw)
		var f *fault.Error
		if !errors.As(err, &f) || f.Class != fault.Permanent || f.Reason != fault.Unparsable || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", raw, err, want)
		}
	}
}

// TestEach makes an event of every element of lists in lists, in what stands
// around it.
func TestEach(t *testing.T) {
	plan := compileOne(t, "vendor: Example\ndataset: example.points\nmatch: [{outer: \"*\"}]\neach: [outer.metrics.sum.points, outer.metrics.gauge.points]\n"+
		"unfold: [{from: outer.labels, as: pairs, key: k, value: v}]\n"+
		"fields: {message: [outer.metrics.sum.points.v, outer.metrics.gauge.points.v], service.name: outer.labels.s, event.code: outer.metrics.name}\n")
	got, err := all(t, plan, `{"outer":[{"labels":[{"k":"s","v":"one"}],"metrics":[{"name":"a","sum":{"points":[{"v":1},{"v":2}]}},{"name":"b","gauge":{"points":[{"v":3}]}}]},`+
		`{"labels":[],"metrics":[{"name":"a","sum":{"points":[{"v":4}]}}]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	var short []string
	for _, d := range got {
		short = append(short, body(d))
	}
	const want = `"1","service":{"name":"one"}} "2","service":{"name":"one"}} "4","example":{"outer.labels":[]}} "3","service":{"name":"one"}}`
	if s := strings.Join(short, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if got, err = all(t, plan, `{"outer":[]}`); err != nil || len(got) != 1 || !strings.Contains(got[0], `"action":"other"`) {
		t.Errorf("lists without elements: %s (%v)", got, err)
	}
	many := `{"outer":{"metrics":{"sum":{"points":[{}` + strings.Repeat(",{}", maxElements) + `]}}}}`
	if got, err = all(t, plan, many); len(got) > 0 || fault.Of(err).Reason != fault.TooLarge {
		t.Errorf("%d events of %d elements (%v)", len(got), maxElements+1, err)
	}
}

func TestConditionsOnLists(t *testing.T) {
	plan := compileOne(t, header+"cases:\n  - {when: {states: [BAD, \"WORSE*\"]}, set: {message: bad}}\n  - {when: {states: \"*\"}, set: {message: good}}\n")
	for raw, want := range map[string]string{
		`{"probe":1,"states":["FINE","WORSE_YET"]}`: "bad", `{"probe":1,"states":["FINE"]}`: "good", `{"probe":1,"states":"bad"}`: "bad",
	} {
		if got, err := all(t, plan, raw); err != nil || !strings.HasPrefix(body(got[0]), `"`+want+`"`) {
			t.Errorf("%s: got %s (%v), want %s", raw, got, err, want)
		}
	}
}
