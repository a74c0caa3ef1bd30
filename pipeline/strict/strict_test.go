package strict_test

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

type level int

func (l *level) UnmarshalText(text []byte) error {
	switch string(text) {
	case "low":
		*l = 1
	case "high":
		*l = 2
	default:
		return errors.New("expected low or high, found " + string(text))
	}
	return nil
}

type oneOrMany []string

func (o *oneOrMany) DecodeYAML(n strict.Node) error {
	if n.Kind() == strict.List {
		return n.Decode((*[]string)(o))
	}
	*o = make(oneOrMany, 1)
	return n.Decode(&(*o)[0])
}

type common struct {
	Owner string `yaml:"owner"`
}

type rule struct {
	common   `yaml:",inline"`
	ID       string             `yaml:"id,required"`
	Severity level              `yaml:"severity"`
	Window   time.Duration      `yaml:"window"`
	Limit    strict.Bytes       `yaml:"limit"`
	Count    int                `yaml:"count"`
	Port     uint16             `yaml:"port"`
	Share    float64            `yaml:"share"`
	Enabled  bool               `yaml:"enabled"`
	When     strict.Text        `yaml:"when"`
	Tags     []string           `yaml:"tags"`
	Topics   oneOrMany          `yaml:"topics"`
	Weights  map[string]float64 `yaml:"weights"`
	Codes    map[int]string     `yaml:"codes"`
	Nested   *rule              `yaml:"nested"`
	Anything any                `yaml:"anything"`
	Later    strict.Node        `yaml:"later"`
	Internal string             // Not readable from a file.
}

func TestDecode(t *testing.T) {
	const src = `
id: cpu-spike
owner: soc
severity: high
window: 1d12h
limit: 8MiB
count: 0x10
port: 9092
share: 5
enabled: true
when: agent.id == "a"
tags: [a, 2, "3", true]
topics: one
weights: {a: 1, b: 2.5}
codes: {7034: stopped, 7045: installed}
nested:
  id: inner
  window: 250ms
  topics: [x, y]
anything:
  list: [1, 2.5, ~, yes]
later: {x: 1}
`
	node, err := strict.ParseOne("rule.yml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	got := rule{Internal: "kept", Count: 3, Share: 1, Tags: []string{"default", "default"}}
	if err := node.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if line, column := got.Later.Position(); line != 22 || column != 8 {
		t.Errorf("later stands at %d:%d, want 22:8", line, column)
	}
	if line, column := got.When.At(len("agent.id ")); got.When.Value != `agent.id == "a"` || line != 11 || column != 16 {
		t.Errorf("when is %q, its == stands at %d:%d, want 11:16", got.When.Value, line, column)
	}
	got.Later, got.When = strict.Node{}, strict.Text{}
	want := rule{
		common: common{Owner: "soc"}, ID: "cpu-spike", Severity: 2, Window: 36 * time.Hour, Limit: 8 << 20, Count: 16,
		Port: 9092, Share: 5, Enabled: true, Tags: []string{"a", "2", "3", "true"}, Topics: oneOrMany{"one"},
		Weights: map[string]float64{"a": 1, "b": 2.5}, Codes: map[int]string{7034: "stopped", 7045: "installed"},
		Nested:   &rule{ID: "inner", Window: 250 * time.Millisecond, Topics: oneOrMany{"x", "y"}},
		Anything: map[string]any{"list": []any{1, 2.5, nil, "yes"}}, Internal: "kept",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decoded\n%+v\nwant\n%+v", got, want)
	}
}

func TestDecodeReportsEverythingThatIsWrong(t *testing.T) {
	const src = `sevrity: high
window: 10
limit: 8 MiBs
count: "5"
port: 70000
share: much
enabled: yes
tags: a
weights: [1]
nested:
  severity: low
  when: [a]
severity: middling
topics: {a: b}
codes: {a: b}
Zzz: 1
id:
`
	const want = `rule.yml:1:1: unknown key "sevrity" (did you mean "severity"?)
rule.yml:2:9: expected duration such as 10s, 5m or 1d, found integer 10 (add a unit: 10s)
rule.yml:3:8: expected size such as 8MiB, 10MB or 4096, found "8 MiBs"
rule.yml:4:8: expected integer, found string "5" (remove the quotes)
rule.yml:5:7: expected integer from 0 that fits 16 bits, found integer 70000
rule.yml:6:8: expected number, found string "much"
rule.yml:7:10: expected true or false, found string "yes"
rule.yml:8:7: expected list, found string "a" (write one element a line, each after "- ")
rule.yml:9:10: expected mapping, found list
rule.yml:11:3: missing key "id"
rule.yml:12:9: expected string, found list
rule.yml:13:11: expected low or high, found middling
rule.yml:14:9: expected string, found mapping
rule.yml:15:9: expected integer, found string "a"
rule.yml:16:1: unknown key "Zzz"
rule.yml:17:3: expected string, found nothing`
	node, err := strict.ParseOne("rule.yml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	var r rule
	if err := node.Decode(&r); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestMapsAddAndListsReplace(t *testing.T) {
	node, _ := strict.ParseOne("f.yml", []byte("tags: [new]\nweights: {a: 1}\n"))
	shared := map[string]float64{"a": 0, "b": 2}
	r := rule{ID: "x", Tags: []string{"old", "old"}, Weights: shared}
	_ = node.Decode(&r)
	if !slices.Equal(r.Tags, []string{"new"}) || !maps.Equal(r.Weights, map[string]float64{"a": 1, "b": 2}) || shared["a"] != 0 {
		t.Errorf("%v %v %v", r.Tags, r.Weights, shared)
	}
}

func TestUnknownKeyListsTheKnownOnesWhenFew(t *testing.T) {
	node, _ := strict.ParseOne("f.yml", []byte("zzz: 1"))
	var c common
	if err := node.Decode(&c); err == nil || err.Error() != `f.yml:1:1: unknown key "zzz" (known keys: owner)` {
		t.Error(err)
	}
}

func TestParseErrors(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"tab":            {"a:\n\tb: 1\n", `f.yml:2:1: found character '\t' that cannot start any token (indent with spaces, not with tabs)`},
		"repeated key":   {"a: 1\nb: {c: 1, c: 2}\na: 2\n", "f.yml:2:11: key \"c\" is repeated (first in line 2)\nf.yml:3:1: key \"a\" is repeated (first in line 1)"},
		"anchor, alias":  {"a: &x 1\nb: *x\n", "f.yml:1:4: anchors are not supported (write the value out)\nf.yml:2:4: aliases are not supported (write the value out; quote a text that begins with *)"},
		"merge key":      {"a:\n  <<: {b: 1}\n", `f.yml:2:3: merge keys ("<<") are not supported (write the entries out)`},
		"tag":            {"a: !!binary aGk=\n", `f.yml:1:4: tags are not supported (quote a text that begins with !)`},
		"directive":      {"%YAML 1.2\n---\na: 1\n", `f.yml:1:1: directives are not supported (quote a text that begins with %)`},
		"open bracket":   {"a: [1, 2\n", `f.yml:1:4: sequence end token ']' not found`},
		"open quote":     {"a: \"x\nb: 1\n", `f.yml:1:4: could not find end character of double-quoted text`},
		"colon in plain": {"a: b: c\n", `f.yml:1:4: mapping value is not allowed in this context (check the indentation; quote a text that contains ": ")`},
		"not UTF-8":      {"a: 1\nb: \xff\n", `f.yml:2:4: expected UTF-8 text, found byte 0xff`},
		"control":        {"a: 1\nb: \x00\n", `f.yml:2:4: control character U+0000 is not allowed`},
		"complex key":    {"? [a, b]\n: 1\n", `f.yml:2:1: found an invalid key for this map`},
		"deep flow":      {strings.Repeat("[", 1<<19), `f.yml:1:33: nested more than 32 levels deep`},
		"deep block":     {strings.Repeat("- ", 1<<18), `f.yml:1:65: nested more than 32 levels deep`},
		"deep lines":     {deepLines(40), `f.yml:33:34: nested more than 32 levels deep`},
		"block header":   {"a: 1\nb: >[x", `f.yml:2:4: invalid header option: "[x" (begin the text in the next line; quote a text that begins with | or >)`},
		"many keys":      {strings.Repeat("a: 1\n", strict.MaxKeys+1), `f.yml:16385:2: more than 16384 keys in one file (split it)`},
		"many bare keys": {"{" + strings.Repeat("a,", strict.MaxKeys+1) + "}", `f.yml:1:32771: more than 16384 keys in one file (split it)`},
		"many entries":   {strings.Repeat("-\n", strict.MaxEntries+1), `f.yml:131073:1: more than 131072 list entries in one file (split it)`},
		"many in a flow": {"[" + strings.Repeat("a,", strict.MaxEntries+1) + "a]", `f.yml:1:262147: more than 131072 list entries in one file (split it)`},
		"large":          {strings.Repeat("# comment\n", 1<<17), `f.yml: file has more than the 1048576 bytes that are allowed (split it)`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := strict.Parse("f.yml", []byte(c.src)); err == nil || err.Error() != c.want {
				t.Errorf("got\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}

// TestReadFileIsBounded reads a file larger than any may be only as far as Parse needs to refuse it.
func TestReadFileIsBounded(t *testing.T) {
	src, err := strict.ReadFile(fstest.MapFS{"f.yml": {Data: make([]byte, 4<<20)}}, "f.yml")
	if err != nil || len(src) != strict.MaxSize+1 {
		t.Errorf("%d bytes, %v", len(src), err)
	}
}

func deepLines(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestParseOne(t *testing.T) {
	for src, want := range map[string]string{
		"":                  "f.yml:1:1: the file is empty",
		"# only\n---\n":     "f.yml:1:1: the file is empty",
		"a: 1\n---\nb: 1":   "f.yml:3:1: expected one document, found 2",
		"\ufeffa: 1\r\n":    "",
		"--- \na: 1\n...\n": "",
	} {
		got := ""
		if _, err := strict.ParseOne("f.yml", []byte(src)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", src, got, want)
		}
	}
}

func TestLongLinesAreNotDeep(t *testing.T) {
	node, err := strict.ParseOne("f.yml", []byte("a: {x: [1, {}], b: ["+strings.Repeat("1, ", 1000)+"2]}\n"))
	if err != nil || len(node.Get("a").Get("b").Items()) != 1001 {
		t.Error(err)
	}
}

func TestCarriageReturnsKeepPositions(t *testing.T) {
	node, err := strict.ParseOne("f.yml", []byte("\ufeffa: 1\r\nb: |\r\n  x\r\n  y\r\nc: d\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := node.Get("b").Text(); got.Value != "x\ny\n" {
		t.Errorf("b is %q", got.Value)
	}
	if line, column := node.Get("c").Position(); line != 5 || column != 4 {
		t.Errorf("c stands at %d:%d, want 5:4", line, column)
	}
}

func TestSeveralDocuments(t *testing.T) {
	nodes, err := strict.Parse("f.yml", []byte("id: a\n---\n---\nid: b\n"))
	if err != nil || len(nodes) != 2 {
		t.Fatal(nodes, err)
	}
	if id, _ := nodes[1].Get("id").Scalar(); id != "b" {
		t.Errorf("second document has id %q", id)
	}
}

func TestOuterTextIsNeverShown(t *testing.T) {
	const canary = "hunter2"
	node, err := strict.ParseOne("f.yml", []byte("window: ${W}\nseverity: \"${S}\"\nport: ${P}\ncount: ${C}\nid: x\n"))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"${P}": "9092", "${C}": "12", "x": "x"}
	node, err = node.Transform(func(n strict.Node) (strict.Node, error) {
		text, _ := n.Scalar()
		if new, ok := texts[text]; ok {
			return n.WithText(new), nil
		}
		return n.WithText(canary), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var r rule
	err = node.Decode(&r)
	if err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("the error shows the text: %v", err)
	}
	if r.Port != 9092 || r.Count != 12 {
		t.Errorf("port %d, count %d", r.Port, r.Count)
	}
	outer := strict.NewScalar("EDRWATCH_PORT", canary)
	if err := outer.Decode(&r.Port); err == nil || err.Error() != "EDRWATCH_PORT: expected integer, found something else" {
		t.Errorf("got %v", err)
	}
}

func TestMerge(t *testing.T) {
	a := strict.NewError(strict.Problem{File: "f", Line: 2, Column: 1, Message: "b"})
	b := strict.NewError(strict.Problem{File: "f", Line: 1, Column: 9, Message: "a"}, strict.Problem{File: "f", Line: 2, Column: 1, Message: "b"})
	if err := strict.Merge(a, nil, b); err.Error() != "f:1:9: a\nf:2:1: b" {
		t.Error(err)
	}
	if err := strict.Merge(nil, nil); err != nil {
		t.Error(err)
	}
}

func TestDecodeAll(t *testing.T) {
	type first struct {
		Type string `yaml:"type,required"`
	}
	type second struct {
		URL string `yaml:"url"`
	}
	node, _ := strict.ParseOne("f.yml", []byte("type: x\nurl: y\ntyp: z\n"))
	var a first
	var b second
	err := node.DecodeAll(&a, &b)
	if a.Type != "x" || b.URL != "y" || err == nil || err.Error() != `f.yml:3:1: unknown key "typ" (did you mean "type"?)` {
		t.Error(a, b, err)
	}
}

type fileBacked struct{ path, text string }

func (f *fileBacked) UnmarshalText(text []byte) error { f.text = string(text); return nil }
func (f *fileBacked) UnmarshalFile(path string) error { f.path = path; return nil }
func TestChangedTreesKeepWhatIsNotChanged(t *testing.T) {
	node, _ := strict.ParseOne("f.yml", []byte("a: ${file:/p}\nlist: [x]\nempty:\n"))
	changed := node.With("a", node.Get("a").WithFile("/p", "content")).
		With("b", strict.NewScalar("ENV", "5")).
		With("list", node.Get("list").WithItem(1, strict.NewScalar("ENV", "y"))).
		With("empty", node.Get("empty").With("k", strict.NewScalar("ENV", "v")))
	var got struct {
		A     fileBacked        `yaml:"a"`
		B     int               `yaml:"b"`
		List  []string          `yaml:"list"`
		Empty map[string]string `yaml:"empty"`
	}
	if err := changed.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.A.path != "/p" || got.A.text != "" || got.B != 5 || !slices.Equal(got.List, []string{"x", "y"}) || got.Empty["k"] != "v" {
		t.Errorf("%+v", got)
	}
	if written, ok := changed.Get("a").Written(); !ok || written != "${file:/p}" {
		t.Errorf("written is %q", written)
	}
	if text, _ := node.Get("a").Scalar(); text != "${file:/p}" || len(node.Entries()) != 3 || len(node.Get("list").Items()) != 1 {
		t.Error("the original has changed")
	}
}
