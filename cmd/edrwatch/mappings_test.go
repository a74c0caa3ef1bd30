package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestMappingsNew drafts a file, loads it and maps the samples by it.
func TestMappingsNew(t *testing.T) {
	const samples = `{"event_type":"beat","sensor_id":"s1","hostname":"pc-1","time":1721362140000,"load":{"cpu":1}}
{"event_type":"stop","sensor_id":"s2","hostname":"pc-2","time":1721362141000,"why":"x"}
`
	draft, stderr, code := cli(t, samples, "mappings", "new", "--from", "-", "--vendor", "Acme Guard")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	dir := t.TempDir()
	write(t, dir, filepath.Join("acme", "acme.yml"), draft)
	stdout, stderr, code := cli(t, samples, "normalize", "--mappings", dir, "--summary", filepath.Join(dir, "summary.json"))
	if code != 0 {
		t.Fatalf("exit code %d: %s\n%s", code, stderr, draft)
	}
	for _, text := range []string{
		`"dataset":"acme_guard.events"`, `"agent":{"id":"s1"}`, `"name":"pc-2"`, `"@timestamp":"2024-07-19T04:09:00.000Z"`, `"acme_guard":{"event_type":"stop","why":"x"}`,
	} {
		if !strings.Contains(stdout, text) {
			t.Errorf("no %s in\n%s\nby\n%s", text, stdout, draft)
		}
	}
	if _, stderr, code := cli(t, "[1]", "mappings", "new", "--from", "-"); code != 2 || !strings.Contains(stderr, "reading sample 1: expected a JSON object") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
