package rules

import (
	"encoding/json"
	"testing"
)

// TestEvidence checks for the scaffold of every type that the alert of its
// positive test says what it was judged by.
func TestEvidence(t *testing.T) {
	want := map[string][]string{
		"anomaly":     {"condition", "values", "field", "method", "value", "usual", "score", "threshold"},
		"change":      {"condition", "values", "field", "from", "to", "from_since"},
		"match":       {"condition", "values"},
		"metric":      {"condition", "values", "field", "function", "window", "window_kind", "window_start", "threshold", "value", "min", "max", "events", "event_ids", "event_ids_total"},
		"new_terms":   {"condition", "values", "fields", "value", "known_values", "window"},
		"rollout":     {"verdict", "version", "failure", "log_e", "rate_ratio", "failed_with", "failed_without", "exposed", "at_risk", "since"},
		"sequence":    {"steps", "maxspan"},
		"silence":     {"last_heard", "silent_for", "after"},
		"spike":       {"condition", "values", "window", "value", "baseline", "windows", "times"},
		"threshold":   {"condition", "values", "window", "window_kind", "threshold", "value", "event_ids", "event_ids_total"},
		"value_count": {"condition", "values", "field", "window", "window_kind", "threshold", "value", "counted_values", "event_ids", "event_ids_at_least"},
	}
	for typ := range scaffolds() {
		text, err := Scaffold(typ, "r", "00000000-0000-4000-8000-000000000001")
		if err != nil {
			t.Fatal(err)
		}
		files, err := ParseFile("r.yml", text)
		if err != nil {
			t.Fatal(err)
		}
		report, err := RunTests(files, dictionary(t), TestOptions{})
		if err != nil || len(report.Results[0].Alerts) == 0 {
			t.Fatalf("%s: %+v %v", typ, report, err)
		}
		var document struct {
			EDR struct {
				Alert struct {
					Status   string
					Evidence map[string]any
				}
			}
		}
		if err := json.Unmarshal([]byte(report.Results[0].Alerts[0]), &document); err != nil {
			t.Fatal(err)
		}
		if document.EDR.Alert.Status != "firing" || want[typ] == nil {
			t.Errorf("%s: the first alert is %s", typ, document.EDR.Alert.Status)
		}
		for _, key := range want[typ] {
			if _, ok := document.EDR.Alert.Evidence[key]; !ok {
				t.Errorf("%s: no %s in %v", typ, key, document.EDR.Alert.Evidence)
			}
		}
	}
}
