package rules

import (
	"strings"
	"testing"
)

// TestFailureSaysWhatHappened checks that a failed test tells its author where
// to look.
func TestFailureSaysWhatHappened(t *testing.T) {
	files, err := ParseFile("r.yml", []byte(ruleYAML(1, "match", `condition: event.action == "error" and edr.state != "disabled"
tests:
  - name: too many
    events: [{at: +5m, set: {event.action: error, agent.id: a, edr.state: reduced}}]
    expect: [{by: +5m, alerts: 2}]
  - name: field missing
    events: [{at: +0m, repeat: {count: 3}, set: {event.action: error, agent.id: a}}]
    expect: [{by: +0m, alerts: 1}]
  - name: no key
    events: [{at: +0m, set: {event.action: error, edr.state: reduced}}]
    expect: [{by: +0m, alerts: 1}]
`)))
	if err != nil {
		t.Fatal(err)
	}
	report, err := RunTests(files, dictionary(t), TestOptions{})
	if err != nil || len(report.Results) != 3 {
		t.Fatalf("%+v %v", report, err)
	}
	for i, want := range []string{
		"there was at +5m firing: a reports error",
		"of 3 events the condition was true of 0, unknown of 3, because a field is missing",
		"the condition was true of 1, 1 had no field of group_by",
	} {
		r := report.Results[i]
		if got := strings.Join(r.Failures, "\n"); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", r.Test, got, want)
		}
		if want := []int{10, 13, 16}[i]; r.Line != want {
			t.Errorf("%s is at line %d, want %d", r.Test, r.Line, want)
		}
	}
}
