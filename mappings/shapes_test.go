package mappings

import (
	"strings"
	"testing"
)

// TestWhoTakesARecord loads two or three files that ask for a shape each, and
// says which takes a record of all of them, or why they cannot be loaded.
func TestWhoTakesARecord(t *testing.T) {
	const record = `{"kind":"yes","probe":1,"other":2,"more":{"x":3}}`
	for _, tc := range []struct {
		name, a, b, c string // what follows vendor and dataset
		want          string // of the dataset, or of the error
	}{
		{name: "a path in common", a: `match: [{probe: "*", kind: "*"}]`, b: `match: [{probe: "*", other: "*"}]`, want: "b.yml:3:9: a record of this shape could also be a.a (a.yml:3:9)"},
		{name: "texts in common", a: `match: [{kind: [x, yes]}]`, b: `match: [{kind: [yes, z]}]`, want: "b.yml:3:9: a record of this shape could also be a.a (a.yml:3:9)"},
		{name: "patterns in common", a: `match: [{kind: "ye*"}]`, b: `match: [{kind: "*es"}]`, want: "b.yml:3:9: a record of this shape could also be a.a (a.yml:3:9)"},
		{name: "one says before", a: `match: [{probe: "*", kind: "*"}]`, b: "match: [{probe: \"*\", other: \"*\"}]\nbefore: [a.a]", want: "b.b"},
		{name: "the first says before", a: "match: [{probe: \"*\", kind: \"*\"}]\nbefore: [b.b]", b: `match: [{probe: "*", other: "*"}]`, want: "a.a"},
		{name: "more conditions", a: `match: [{probe: "*"}]`, b: `match: [{probe: "*", other: "*"}]`, want: "b.b"},
		{name: "a text is more specific than any value", a: `match: [{kind: "*", probe: "*"}]`, b: `match: [{kind: yes, probe: "*"}]`, want: "b.b"},
		{name: "a longer beginning is more specific", a: `match: [{kind: "y*"}]`, b: `match: [{kind: ["ye*", yes]}]`, want: "b.b"},
		{name: "a topic does not outweigh that", a: "match: [{kind: \"*\", probe: \"*\"}]\ntopics: [edr]", b: `match: [{kind: yes, probe: "*"}]`, want: "b.b"},
		{name: "before does", a: "match: [{kind: \"*\", probe: \"*\"}]\nbefore: [b.b]", b: `match: [{kind: yes, probe: "*"}]`, want: "a.a"},
		{name: "other texts", a: `match: [{kind: "n*"}]`, b: `match: [{kind: "y*"}]`, want: "b.b"},
		{name: "a text or an object", a: `match: [{more: "x*", kind: "*"}]`, b: `match: [{more.x: "*", kind: "*"}]`, want: "b.b"},
		{name: "nothing in common", a: `match: [{kind: "*"}]`, b: `match: [{other: "*"}]`, want: "a.a"},
		{name: "nothing in common but the topic", a: `match: [{kind: "*"}]`, b: "match: [{other: \"*\"}]\ntopics: [edr]", want: "b.b"},
		{name: "last", a: "match: [{kind: \"*\", probe: \"*\"}]\nlast: true", b: `match: [{other: "*"}]`, want: "b.b"},
		{name: "before nobody", a: "match: [{kind: \"*\"}]\nbefore: [b.x]", b: `match: [{other: "*"}]`, want: `a.yml:4:10: expected the dataset of another mapping file, found "b.x" (did you mean "b.b"?)`},
		{
			name: "in a circle", a: "match: [{kind: \"*\"}]\nbefore: [b.b]", b: "match: [{kind: \"y*\"}]\nbefore: [c.c]", c: "match: [{kind: yes}]\nbefore: [a.a]",
			want: "a.yml:3:9: each of these goes before the next, and the last before the first: b.b, c.c, a.a (leave one before out)",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := map[string]string{"a.yml": "vendor: A\ndataset: a.a\n" + tc.a + "\n", "b.yml": "vendor: B\ndataset: b.b\n" + tc.b + "\n"}
			if tc.c != "" {
				files["c.yml"] = "vendor: C\ndataset: c.c\n" + tc.c + "\n"
			}
			plan, err := compileFiles(t, files)
			if err != nil {
				if !strings.Contains(tc.want, ".yml:") || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got  %v\nwant %s", err, tc.want)
				}
				return
			}
			if strings.Contains(tc.want, ".yml:") {
				t.Fatalf("the files load, want %s", tc.want)
			}
			if got := mapped(t, plan, "edr", record).Mapped; got != tc.want {
				t.Errorf("%s takes the record, want %s", got, tc.want)
			}
		})
	}
}
