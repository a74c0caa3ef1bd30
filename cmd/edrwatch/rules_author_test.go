package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAuthorsFirstMinutes makes the mistakes that the author of a first rule
// makes: each answer has to name the place and say what to do.
func TestAuthorsFirstMinutes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my-rules")
	rule := filepath.Join(dir, "stopped.yml")
	says := func(stream string, parts ...string) {
		t.Helper()
		for _, p := range parts {
			if !strings.Contains(stream, p) {
				t.Errorf("no %q in\n%s", p, stream)
			}
		}
	}
	_, stderr, _ := cli(t, "", "rules", "check", dir)
	says(stderr, "does not exist", "edrwatch rules new")
	_, stderr, _ = cli(t, "", "rules", "new", "Agent", "stopped")
	says(stderr, "one name, in quotes, found 2 words")
	_, stderr, code := cli(t, "", "rules", "new", "Agent stopped twice", "--type", "threshold", "-o", rule)
	if code != 0 {
		t.Fatal(stderr)
	}
	says(stderr, "next: edit it, then edrwatch rules check "+dir)
	stdout, _, _ := cli(t, "", "rules", "check", dir)
	says(stdout, "stopped.yml:5:14: the description is still the one that rules new wrote", "next: look at the warnings, then edrwatch rules test "+dir)
	stdout, _, code = cli(t, "", "rules", "test", dir)
	if code != 0 {
		t.Error(stdout)
	}
	says(stdout, "2 tests passed, 0 failed; next: ", "edrwatch explain --in FILE --rules "+dir)

	source, err := os.ReadFile(rule)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ old, new, command, says string }{
		{"window: 1h", "windw: 1h", "check", `stopped.yml:17:1: unknown key "windw" (did you mean "window"?)`},
		{"condition: event.action", "condition: event.actoin", "test", `unknown field "event.actoin" (did you mean "event.action"?)`},
		{`condition: event.action ==`, `condition: event.action =`, "check", "write == to compare"},
		{`== "sensor-stopped"`, `== "sensor-stoped"`, "check", `(did you mean "sensor-stopped"?)`},
		{`== "sensor-stopped"`, `== "sensor-stoped"`, "test", `nearest miss at +0s, a1: the condition was false: event.action == "sensor-stoped", event.action was sensor-stopped`},
		{"gte: 3", "gte: 4", "test", "nearest miss at +20m, a1 had 3 matching events within 1h; the rule asks for >= 4"},
		{", agent.id: a1", "", "test", "it has neither agent.id nor host.name"},
		{"gte: 3", "gte: 4", "test", "1 test passed, 1 failed; next: mend the rule"},
	} {
		text := strings.Replace(string(source), tc.old, tc.new, 1)
		if text == string(source) {
			t.Fatalf("the scaffold has no %q", tc.old)
		}
		if err := os.WriteFile(rule, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, code := cli(t, "", "rules", tc.command, dir)
		if code == 0 {
			t.Errorf("%s: exit code 0", tc.new)
		}
		says(stdout+stderr, tc.says, rule)
		if strings.Contains(stdout+stderr, "missing key") {
			t.Errorf("%s: a misspelt key is called missing, too:\n%s", tc.new, stderr)
		}
	}
}
