package rules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/edrwatch/edrwatch/pipeline/goldentest"
)

// TestBadFiles pins, for every file of testdata/bad, the messages that its
// author sees.
func TestBadFiles(t *testing.T) {
	dict := dictionary(t)
	names, err := filepath.Glob("testdata/bad/*.yml")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files, err := ParseFile(filepath.Base(name), src)
			if err == nil {
				_, err = files.Compile(dict)
			}
			if err == nil {
				t.Fatal("no error")
			}
			golden := strings.TrimSuffix(name, ".yml") + ".txt"
			if goldentest.Update() {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, _ := os.ReadFile(golden)
			if got := err.Error() + "\n"; got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// TestParseReportsAllFiles checks that problems of several files and trees
// come together.
func TestParseReportsAllFiles(t *testing.T) {
	rule := ruleYAML(1, "match", `condition: event.action == "error"`)
	_, err := Parse(
		fstest.MapFS{"a/one.yml": {Data: []byte(rule)}, "a/bad.yml": {Data: []byte("type: nope")}, "notes.txt": {Data: []byte("no rule")}},
		fstest.MapFS{"two.yaml": {Data: []byte(rule)}},
	)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"a/bad.yml:1:7: unknown rule type", "two.yaml:2:5: id", "two.yaml:3:7: name", "is taken by the rule at a/one.yml:2"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
}

// FuzzParse checks that no file makes the loader panic and that what it
// accepts compiles or is refused with a message.
func FuzzParse(f *testing.F) {
	f.Add([]byte(ruleYAML(1, "match", "condition: event.action == \"error\"\nfor: 5m\nkeep_firing_for: 1d")))
	f.Add([]byte(ruleYAML(2, "threshold", "condition: has(host.name)\nwindow: 1m\nhaving: {gt: 3, lt: 9}\ngroup_by: [entity, host.name?]")))
	f.Add([]byte(ruleYAML(3, "silence", silent+"\ncohort: {by: [agent.type], percent: 5}\nscope: cohort")))
	f.Add([]byte("threat: [{framework: x, tactic: {id: TA0005}, technique: [{id: T1, subtechnique: [{id: T1.001}]}]}]\ntests: [{name: a, fleet: [{agents: 1, until: 5m, every: 1m, set: {}}], expect: [{by: 5m}]}]"))
	dict := dictionary(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		files, err := ParseFile("f.yml", src)
		if err != nil {
			return
		}
		set, err := files.Compile(dict)
		if err != nil {
			return
		}
		fd := newFeed(t, set, SessionOptions{MaxKeys: 4})
		fd.send(0, "event.action", "error", "host.name", "a", "agent.id", "b")
		fd.send(1, "event.action", "sensor-heartbeat", "host.name", "a")
		fd.advance(1 << 50)
	})
}
