package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cli runs a command line in this process.
func cli(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return out.String(), errs.String(), code
}

// write makes a file below a test's directory.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func heartbeat(agent string, at time.Time, id int) string {
	return fmt.Sprintf(`{"event_simpleName":"SensorHeartbeat","aid":%q,"event_platform":"Win","timestamp":"%d","id":"id-%d","SensorStateBitMap":"0"}`,
		agent, at.UnixMilli(), id)
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestNormalizeAccountsForEveryLine(t *testing.T) {
	dir := t.TempDir()
	input := strings.Join([]string{
		heartbeat("a1", noon, 1),
		"",
		heartbeat("a1", noon.Add(2*time.Minute), 2),
		heartbeat("a1", noon.Add(2*time.Minute), 2),    // sent twice
		`{"event_simpleName":"SensorHeartbeat","aid":`, // cut off
		"\x00\x01\x02\xff",
		`{"temperature":21.5}`,
		`[1,2,3]`,
		heartbeat("a1", noon.Add(-time.Hour), 3), // late
	}, "\n")
	in := write(t, dir, "in.ndjson", input)
	dead, sum := filepath.Join(dir, "dead.ndjson"), filepath.Join(dir, "summary.json")
	stdout, stderr, code := cli(t, "", "normalize", in, "--dead", dead, "--summary", sum)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var s struct{ Lines, Blank, Mapped, Other, Dead, Duplicate, Late, Events, Alerts int }
	text, err := os.ReadFile(sum)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	if s.Lines != 9 || s.Blank != 1 || s.Mapped != 3 || s.Other != 1 || s.Dead != 3 || s.Duplicate != 1 || s.Late != 1 || s.Events != 4 || s.Alerts != 0 {
		t.Errorf("summary %+v", s)
	}
	if s.Lines != s.Blank+s.Mapped+s.Other+s.Dead+s.Duplicate {
		t.Errorf("lines are not accounted for: %+v", s)
	}
	docs := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(docs) != 4 {
		t.Fatalf("%d documents, want 4:\n%s", len(docs), stdout)
	}
	for i, want := range []string{`"action":"sensor-heartbeat"`, `"action":"sensor-heartbeat"`, `"action":"other"`, `"action":"sensor-heartbeat"`} {
		if !json.Valid([]byte(docs[i])) || !strings.Contains(docs[i], want) {
			t.Errorf("document %d lacks %s: %s", i, want, docs[i])
		}
	}
	type deadLine struct {
		Line                    int
		Stage, Reason, Original string
		Base64                  []byte `json:"original_b64"`
	}
	buried, err := os.ReadFile(dead)
	if err != nil {
		t.Fatal(err)
	}
	var lines []int
	for l := range strings.Lines(string(buried)) {
		var d deadLine
		if err := json.Unmarshal([]byte(l), &d); err != nil {
			t.Fatal(err)
		}
		if d.Stage != "mapping" || d.Reason != "unparsable" {
			t.Errorf("line %d: stage %q, reason %q", d.Line, d.Stage, d.Reason)
		}
		kept := d.Original
		if d.Base64 != nil {
			kept = string(d.Base64)
		}
		if kept != strings.Split(input, "\n")[d.Line-1] {
			t.Errorf("line %d is kept as %q", d.Line, kept)
		}
		lines = append(lines, d.Line)
	}
	if fmt.Sprint(lines) != "[5 6 8]" {
		t.Errorf("dead lines %v, want [5 6 8]", lines)
	}
}

func TestNormalizeReadsCapturesAndStandardInput(t *testing.T) {
	value, _ := json.Marshal(heartbeat("a1", noon, 1))
	line := func(partition, offset int, value string) string {
		return fmt.Sprintf(`{"ts":%d,"topic":"edr.crowdstrike.fdr","partition":%d,"offset":%d,"key":"a1","headers":{},"value":%s}`,
			noon.UnixMilli(), partition, offset, value)
	}
	input := strings.Join([]string{
		line(0, 7, string(value)),
		line(0, 7, string(value)),                  // the same coordinates
		line(0, 8, heartbeat("a2", noon, 2)),       // the value as an object
		line(0, 9, "null"),                         // a tombstone
		`{"ts":1,"topic":"x","partition":0`,        // not a capture line
		line(1, 7, heartbeat("a3", noon, 3)) + " ", // another partition
	}, "\n")
	stdout, stderr, code := cli(t, input, "normalize", "--summary", "-", "--out", filepath.Join(t.TempDir(), "out"))
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	want := `{"lines":6,"blank":1,"mapped":3,"other":0,"dead":1,"duplicate":1,"late":0,"events":3,"alerts":0}`
	if strings.TrimSpace(stdout) != want {
		t.Errorf("summary\n%swant\n%s", stdout, want)
	}
}

// TestReplayIsDeterministic back-tests the shipped rules on a small simulated
// incident twice and expects the same bytes.
func TestReplayIsDeterministic(t *testing.T) {
	dir := t.TempDir()
	capture := filepath.Join(dir, "july19.capture")
	if _, stderr, code := cli(t, "", "simulate", "--agents", "200", "--duration", "70m", "-o", capture); code != 0 {
		t.Fatalf("simulate: exit code %d: %s", code, stderr)
	}
	var results [2]string
	for i := range results {
		alerts, events := filepath.Join(dir, "alerts"), filepath.Join(dir, "events")
		summary, stderr, code := cli(t, "", "replay", "--in", capture, "--alerts", alerts, "--events", events, "--summary", "-")
		if code != 0 {
			t.Fatalf("replay: exit code %d: %s", code, stderr)
		}
		for _, f := range []string{alerts, events} {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			summary += string(text)
		}
		results[i] = summary
	}
	if results[0] != results[1] {
		t.Error("two replays of one file differ")
	}
	if !strings.Contains(results[0], `"kind":"bad_rollout"`) {
		t.Error("19 July 2024 went by without an alert about the version")
	}
}

func TestDemoOnATakenAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, stderr, code := cli(t, "", "demo", "--listen", l.Addr().String())
	if code != exitUsage || !strings.Contains(stderr, l.Addr().String()) || !strings.Contains(stderr, "--listen") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	empty := write(t, dir, "empty.yaml", "")
	unknown := write(t, dir, "unknown.yaml", "version: 1\nsurces: []\n")
	rules := filepath.Join(dir, "rules")
	write(t, rules, "broken.yml", "id: 5d0b0c1e-6a55-4d0e-9c7e-3a1d3f0f7a10\nname: Broken\nversion: 1\nkind: other\ntype: match\nseverity: low\n"+
		"risk_score: 21\nmaturity: experimental\ndescription: x\nnote: x\ncondition: event.acton == \"sensor-crashed\"\n")
	for _, tc := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"unknown command", []string{"nomalize"}, exitUsage, []string{"nomalize", "normalize"}},
		{"unknown flag", []string{"replay", "--inn", "x"}, exitUsage, []string{"--inn"}},
		{"missing options", []string{"replay"}, exitUsage, []string{"--in FILE", "--alerts FILE"}},
		{"unknown format", []string{"normalize", "--format", "xml"}, exitUsage, []string{"auto, raw or capture", "xml"}},
		{"missing input", []string{"normalize", "no-such-file"}, exitUsage, []string{"no-such-file"}},
		{"missing configuration", []string{"run", "--config", "no-such-file"}, exitConfig, []string{"no-such-file"}},
		{"empty configuration", []string{"run", "--config", empty}, exitConfig, []string{"empty.yaml:1:1", "empty"}},
		{"unknown key", []string{"run", "--config", unknown}, exitConfig, []string{"unknown.yaml:2:1", "surces", "sources"}},
		{"broken rule", []string{"rules", "check", rules}, exitConfig, []string{"broken.yml:11:12", "event.acton", "event.action"}},
		{"rules directory is a file", []string{"rules", "check", empty}, exitConfig, []string{"directory"}},
		{"unknown scenario", []string{"simulate", "--scenario", "july91"}, exitConfig, []string{"july91", "july19"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stdout, stderr, code := cli(t, "", tc.args...)
			if code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			for _, want := range tc.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("standard error lacks %q:\n%s", want, stderr)
				}
			}
			if stdout != "" {
				t.Errorf("standard output is not empty: %s", stdout)
			}
		})
	}
}
