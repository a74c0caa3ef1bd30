package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRulesNewDiffConvert walks the way of a rule's author.
func TestRulesNewDiffConvert(t *testing.T) {
	dir := t.TempDir()
	before, after := filepath.Join(dir, "before"), filepath.Join(dir, "after")
	write(t, before, "README", "")
	write(t, after, "README", "")
	rule := filepath.Join(before, "beats.yml")
	if _, stderr, code := cli(t, "", "rules", "new", "Three heartbeats", "--type", "threshold", "-o", rule); code != 0 {
		t.Fatalf("rules new: exit code %d: %s", code, stderr)
	}
	if _, stderr, code := cli(t, "", "rules", "new", "Another", "-o", rule); code == 0 || !strings.Contains(stderr, "exists already") {
		t.Errorf("an existing file was overwritten: exit code %d: %s", code, stderr)
	}
	if stdout, stderr, code := cli(t, "", "rules", "test", before); code != 0 || !strings.Contains(stdout, "2 tests passed") {
		t.Fatalf("rules test: exit code %d: %s%s", code, stdout, stderr)
	}

	text := "---\nid: 33333333-3333-4333-8333-333333333333\nname: Beats\nkind: other\nseverity: low\nmaturity: development\ntype: threshold\ncondition: event.action == \"sensor-heartbeat\"\nwindow: 1h\nhaving: {gte: 3}\n"
	write(t, before, "other.yml", text)
	write(t, after, "other.yml", strings.Replace(text, "gte: 3", "gte: 2", 1))
	var lines []string
	for i := range 4 {
		lines = append(lines, heartbeat("a1", noon.Add(time.Duration(i)*2*time.Minute), i))
	}
	in := write(t, dir, "in.ndjson", strings.Join(lines, "\n"))
	stdout, stderr, code := cli(t, "", "rules", "diff", "--in", in, before, after)
	if code != 1 || !strings.Contains(stdout, "- 2026-03-02T12:04:00.000Z firing Beats") ||
		!strings.Contains(stdout, "+ 2026-03-02T12:02:00.000Z firing Beats") || !strings.Contains(stdout, "1 removed, 1 added") {
		t.Errorf("rules diff: exit code %d: %s%s", code, stdout, stderr)
	}
	if stdout, _, code := cli(t, "", "rules", "diff", "--in", in, before, before); code != 0 || !strings.Contains(stdout, "1 alerts the same, 0 removed, 0 added") {
		t.Errorf("rules diff of the same rules: exit code %d: %s", code, stdout)
	}

	sigma := write(t, dir, "sigma.yml", "title: Agent's service stopped\nid: 44444444-4444-4444-8444-444444444444\nlevel: high\nlogsource: {product: windows, category: process_creation}\n"+
		"detection:\n  tool: {Image|endswith: '\\sc.exe'}\n  what: {CommandLine|contains: [' stop ', ' delete ']}\n  condition: tool and what\n")
	stdout, stderr, code = cli(t, "", "rules", "convert", "--from", "sigma", sigma)
	if code != 0 || !strings.Contains(stdout, `like((process.executable ?? vendor("event_data.Image", "user_data.Image", "Image")), "*\\sc.exe")`) {
		t.Errorf("rules convert: exit code %d: %s%s", code, stdout, stderr)
	}
	bad := write(t, dir, "bad.yml", "title: T\nlogsource: {product: okta}\ndetection: {s: {EventID: 1}, condition: s}\n")
	if stdout, stderr, code := cli(t, "", "rules", "convert", sigma, bad); code != 78 || stdout != "" || !strings.Contains(stderr, "bad.yml:2:") {
		t.Errorf("rules convert of what has no counterpart: exit code %d: %s%s", code, stdout, stderr)
	}
}
