package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testable = `id: 5d0b0c1e-6a55-4d0e-9c7e-3a1d3f0f7a10
name: Testable
kind: other
type: match
severity: low
maturity: development
condition: event.action == "error" and (agent.id == "a" or agent.id == "b")
suppress: 10m
tests:
  - name: an error & more
    events: [{at: +0m, set: {event.action: error, agent.id: a}}, {at: +1m, set: {event.action: error, agent.id: c}}]
    expect: [{by: +2m, alerts: 1}]
  - name: expects too much
    events: [{at: +0m, set: {event.action: error, agent.id: a}}]
    expect: [{by: +2m, alerts: 7}]
`

func TestRulesTestWritesJUnit(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "rules/testable.yml", testable)
	file := filepath.Join(dir, "results.xml")
	if _, stderr, code := cli(t, "", "rules", "test", "--junit", file, filepath.Join(dir, "rules")); code != exitFindings {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	if err := xml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 2 || got.Failures != 1 || len(got.Suites) != 1 || len(got.Suites[0].Cases) != 2 {
		t.Fatalf("%s", text)
	}
	passed, failed := got.Suites[0].Cases[0], got.Suites[0].Cases[1]
	if passed.Name != "an error & more" || passed.Failure != nil || failed.Failure == nil || !strings.Contains(failed.Failure.Message, "expected 7 alerts") {
		t.Errorf("%s", text)
	}
}

func TestRulesTestCoverage(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "testable.yml", testable)
	stdout, _, _ := cli(t, "", "rules", "test", "--coverage", dir)
	if !strings.Contains(stdout, `never true in condition: agent.id == "b" (false 3, unknown 0)`) || !strings.Contains(stdout, "4 of 5 clauses were true") {
		t.Error(stdout)
	}
}

// TestRulesTestMetamorphic holds that the shipped rules raise the same alerts
// however their events come, and that a rewind that is too short is noticed.
func TestRulesTestMetamorphic(t *testing.T) {
	if stdout, stderr, code := cli(t, "", "rules", "test", "--metamorphic"); code != 0 {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	stdout, _, code := cli(t, "", "rules", "test", "--metamorphic", "--rewind", "1m", "--run", "^EDR agent crash loop/")
	if code != exitFindings || !strings.Contains(stdout, "restarted: after") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
}
