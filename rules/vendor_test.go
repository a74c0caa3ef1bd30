package rules

import (
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// TestVendorFields uses fields of the record that have no name in the
// dictionary, in conditions and in the events of tests.
func TestVendorFields(t *testing.T) {
	dict, err := ecs.New(ecs.Field{Name: "winlog", Type: "flattened"})
	if err != nil {
		t.Fatal(err)
	}
	files, err := ParseFile("r.yml", []byte(ruleYAML(1, "match", `condition: 'event.code == "5007" and like(vendor("event_data.New Value", "event_data.NewValue"), "*exclusions*")'
tests:
  - name: set
    events: [{at: +0m, set: {event.code: "5007", agent.id: a, winlog.event_data.NewValue: 'HKLM\Exclusions\Paths'}}]
    expect: [{by: +0m, alerts: 1}]
  - name: other
    events:
      - {at: +0m, set: {event.code: "5007", agent.id: a, winlog.event_data.NewValue: 'HKLM\Other'}}
      - {at: +0m, set: {event.code: "5007", agent.id: a}}
    expect: [{by: +0m, alerts: 0}]
`)))
	if err != nil {
		t.Fatal(err)
	}
	report, err := RunTests(files, dict, TestOptions{})
	if err != nil || report.Failed > 0 || report.Passed != 2 {
		t.Fatalf("%+v %v", report, err)
	}
}
