package main

import (
	"os"
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
		`"dataset":"acme_guard.events"`, `"agent":{"id":"s1","type":"acme-guard"}`, `"name":"pc-2"`, `"@timestamp":"2024-07-19T04:09:00.000Z"`, `"acme_guard":{"event_type":"stop","why":"x"}`,
	} {
		if !strings.Contains(stdout, text) {
			t.Errorf("no %s in\n%s\nby\n%s", text, stdout, draft)
		}
	}
	if _, stderr, code := cli(t, "[1]", "mappings", "new", "--from", "-"); code != 2 || !strings.Contains(stderr, "reading sample 1: expected a JSON object") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestHourOfTheReadme does what mappings/README.md tells who adds a vendor:
// every command, and the events of the file that it shows.
func TestHourOfTheReadme(t *testing.T) {
	readme, err := os.ReadFile("../../mappings/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(readme), "## Add a vendor in an hour")
	section, _, ended := strings.Cut(section, "\n## ")
	if !found || !ended {
		t.Fatal("the section is gone")
	}
	t.Chdir(t.TempDir())
	var last string
	run := func(line string) {
		line, target, toFile := strings.Cut(line, " > ")
		stdout, stderr, code := cli(t, "", strings.Fields(strings.TrimPrefix(line, "edrwatch "))...)
		if code != 0 {
			t.Fatalf("%s: exit code %d: %s", line, code, stderr)
		}
		if last = stdout; toFile {
			write(t, ".", target, stdout)
		}
	}
	commands := 0
	for i, block := range strings.Split(section, "```") {
		if i%2 == 0 {
			continue
		}
		language, text, _ := strings.Cut(block, "\n")
		text = strings.TrimRight(strings.ReplaceAll("\n"+text, "\n   ", "\n"), " ") // It stands in a list.
		if language == "yaml" {
			draft, err := os.ReadFile("my-mappings/guard/guard.yml")
			if err != nil {
				t.Fatal(err)
			}
			head, _, _ := strings.Cut(string(draft), "events:\n")
			write(t, ".", "my-mappings/guard/guard.yml", head+strings.TrimPrefix(text, "\n"))
			run("edrwatch normalize --mappings my-mappings --coverage samples.ndjson")
			if strings.Contains(last, " other ") || !strings.Contains(last, "content-updated") || !strings.Contains(last, "sensor-heartbeat") {
				t.Errorf("after the edit:\n%s", last)
			}
			continue
		}
		if _, samples, isSamples := strings.Cut(text, "<<'END'\n"); isSamples {
			samples, _, _ = strings.Cut(samples, "\nEND")
			write(t, ".", "samples.ndjson", samples+"\n")
			continue
		}
		for _, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "edrwatch ") {
				commands++
				run(line)
			}
		}
	}
	if commands < 4 {
		t.Errorf("%d commands", commands)
	}
}
