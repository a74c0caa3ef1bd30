package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// lintable is a rule that loads and has much to be said about it.
func lintable() string {
	day := func(d int) string { return time.Now().AddDate(0, 0, d).Format(time.DateOnly) }
	return `id: 5d0b0c1e-6a55-4d0e-9c7e-3a1d3f0f7a10
name: Odd
kind: other
type: match
severity: low
description: x
note: look at it
threat: [attack.t1562.099]
condition: |-
  agent.id == "x" and
  agent.id == "y"
exceptions:
  - {name: old, when: host.name == "a", owner: soc, expires: ` + day(-3) + `}
  - {name: soon, when: host.name == "b", owner: soc, expires: ` + day(10) + `}
  - {name: later, when: host.name == "c", owner: soc, expires: ` + day(90) + `}
severity_mapping:
  - {when: has(host.name), severity: low}
  - {when: host.name == "a", severity: medium}
tests:
  - {name: yes, events: [{at: +0m, set: {event.action: error, agent.id: x}}], expect: [{by: +1m, alerts: 1}]}
  - {name: no, events: [{at: +0m, set: {event.action: error, agent.id: z}}], expect: [{by: +1m, alerts: 0}]}
`
}

func TestRulesCheckFindings(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "odd.yml", lintable())
	stdout, stderr, code := cli(t, "", "rules", "check", dir)
	if code != exitFindings || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	file := filepath.Join(dir, "odd.yml")
	for _, want := range []string{
		file + `:11:3: the condition can never be true: agent.id == "x" and agent.id == "y"`,
		file + ":13:", `exception "old" of soc has expired`, file + ":14:", `exception "soon" of soc expires on`,
		file + ":18:12: ", "is never reached", file + ":8:9: ATT&CK v18.1 has no T1562.099", "no references", "no false_positives", "section about triage",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the answer lacks %q:\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, `"later"`) {
		t.Errorf("an exception of 90 days is reported:\n%s", stdout)
	}
}

func TestRulesCheckGoesOnAfterErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "odd.yml", lintable())
	write(t, dir, "broken.yml", "id: 5d0b0c1e-6a55-4d0e-9c7e-3a1d3f0f7a11\nname: Broken\nkind: other\ntype: match\nseverity: low\n"+
		"maturity: development\ncondition: event.acton == \"error\"\n")
	write(t, dir, "worse.yml", "type: mach\n")
	stdout, _, code := cli(t, "", "rules", "check", "--format", "json", dir)
	if code != exitConfig {
		t.Errorf("exit code %d", code)
	}
	var answer struct {
		Rules    int
		Findings []findingJSON
	}
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		t.Fatal(err)
	}
	has := func(base string, line int, level, rule string) bool {
		return slices.ContainsFunc(answer.Findings, func(f findingJSON) bool {
			return filepath.Base(f.File) == base && f.Line == line && string(f.Severity) == level && f.Rule == rule
		})
	}
	if answer.Rules != 2 || !has("broken.yml", 7, "error", "5d0b0c1e-6a55-4d0e-9c7e-3a1d3f0f7a11") || !has("worse.yml", 1, "error", "") ||
		!has("odd.yml", 11, "warning", "5d0b0c1e-6a55-4d0e-9c7e-3a1d3f0f7a10") {
		t.Errorf("%d rules, %+v", answer.Rules, answer.Findings)
	}

	stdout, _, _ = cli(t, "", "rules", "check", "--format", "github", dir)
	want := "::error file=" + filepath.ToSlash(dir) + "/broken.yml,line=7,col=12,title=edrwatch load::unknown field \"event.acton\""
	if !strings.Contains(stdout, want) {
		t.Errorf("annotations lack %s:\n%s", want, stdout)
	}
}

// TestRulesCheckSARIF holds what the standard demands of the parts that are
// used: required properties, levels, indexes and positions from 1.
func TestRulesCheckSARIF(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a b/odd.yml", lintable())
	t.Chdir(dir)
	stdout, _, code := cli(t, "", "rules", "check", "--format", "sarif", "a b")
	if code != exitFindings {
		t.Errorf("exit code %d", code)
	}
	var log sarifLog
	dec := json.NewDecoder(strings.NewReader(stdout))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || !strings.HasSuffix(log.Schema, "sarif-schema-2.1.0.json") || len(log.Runs) != 1 {
		t.Fatalf("%+v", log)
	}
	run := log.Runs[0]
	if run.Tool.Driver.Name == "" || len(run.Results) < 8 {
		t.Fatalf("driver %q, %d results", run.Tool.Driver.Name, len(run.Results))
	}
	for _, r := range run.Results {
		if !slices.Contains([]string{"none", "note", "warning", "error"}, string(r.Level)) || r.Message.Text == "" ||
			r.RuleIndex < 0 || run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || len(r.Locations) != 1 {
			t.Fatalf("%+v", r)
		}
		at := r.Locations[0].PhysicalLocation
		if at.ArtifactLocation.URI != "a%20b/odd.yml" || at.Region.StartLine < 1 || at.Region.StartColumn < 1 {
			t.Errorf("%s at %+v", r.Message.Text, at)
		}
	}
	if _, stderr, code := cli(t, "", "rules", "check", "--format", "xml"); code != exitUsage || !strings.Contains(stderr, "sarif") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestRulesCheckLooksAtWhatExceptionsTakeOut(t *testing.T) {
	dir := t.TempDir()
	day := time.Now().AddDate(1, 0, 0).Format(time.DateOnly)
	write(t, dir, "rule.yml", `id: 5d0b0c1e-6a55-4d0e-9c7e-3a1d3f0f7a10
name: Excepted
kind: other
type: match
severity: low
maturity: development
condition: event.action == "error" and host.name startsWith "srv-"
exceptions:
  - {name: everything, when: has(host.name), owner: soc, expires: `+day+`}
  - {name: nothing, when: host.name == "pc-1", owner: soc, expires: `+day+`}
  - {name: right, when: host.name == "srv-1", owner: soc, expires: `+day+`}
`)
	stdout, _, _ := cli(t, "", "rules", "check", dir)
	if !strings.Contains(stdout, `"everything" takes out every event`) || !strings.Contains(stdout, `"nothing" takes nothing out`) || strings.Contains(stdout, `"right"`) {
		t.Error(stdout)
	}
}
