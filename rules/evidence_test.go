package rules

import (
	"encoding/json"
	"testing"
	"time"
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
		"trend":       {"condition", "field", "window", "threshold", "value", "unit", "change", "level", "first", "last", "span", "coverage", "slots"},
		"value_count": {"condition", "values", "field", "window", "window_kind", "threshold", "value", "counted_values", "event_ids", "event_ids_at_least"},
	}
	for _, typ := range Types() {
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

// TestNearestMissBefore looks for what came nearest before the window of an
// alert.
func TestNearestMissBefore(t *testing.T) {
	for _, tc := range []struct {
		typ, rest string
		at        []time.Duration
		cpu       []float64
		want      string
	}{
		{"threshold", "condition: has(edr.resource.cpu_pct)\nwindow: 5m\nhaving: {gte: 3}", minutes(0, 1, 10, 11, 12), nil, `{"time":"2024-07-19T04:01:00.000000001Z","value":2}`},
		{"threshold", "condition: has(edr.resource.cpu_pct)\nwindow: 5m\nhaving: {gte: 3}", minutes(10, 11, 12), nil, ``},
		{"threshold", "condition: has(edr.resource.cpu_pct)\nwindow: 5m\nwindow_kind: session\ngap: 3m\nhaving: {gte: 3}", minutes(0, 1, 10, 11, 12), nil, `{"time":"2024-07-19T04:01:00.000000001Z","value":2}`},
		{"metric", "condition: has(edr.resource.cpu_pct)\nfield: edr.resource.cpu_pct\nfunction: avg\nwindow: 2m\nhaving: {gt: 80}", minutes(0, 3, 6, 9), []float64{10, 70, 30, 90}, `{"time":"2024-07-19T04:03:00.000000001Z","value":70}`},
		{"spike", "condition: has(edr.resource.cpu_pct)\nwindow: 1m\ntimes: 3\nmin_history: 2\nmin_events: 4",
			append(minutes(0, 1, 2, 2), minutes(4, 4, 4, 4)...), nil, `{"time":"2024-07-19T04:02:00.000Z","value":2}`},
	} {
		f := newFeed(t, compileRules(t, dictionary(t), ruleYAML(1, tc.typ, tc.rest)), SessionOptions{})
		for i, at := range tc.at {
			cpu := 1.0
			if tc.cpu != nil {
				cpu = tc.cpu[i]
			}
			f.send(at+time.Duration(i), "agent.id", "a", "edr.resource.cpu_pct", cpu)
		}
		if len(f.alerts) != 1 {
			t.Errorf("%s: %d alerts", tc.typ, len(f.alerts))
			continue
		}
		got := ""
		if miss, ok := f.alerts[0]["edr"].(map[string]any)["alert"].(map[string]any)["evidence"].(map[string]any)["nearest_miss"]; ok {
			text, _ := json.Marshal(miss)
			got = string(text)
		}
		if got != tc.want {
			t.Errorf("%s: nearest miss %s, want %s", tc.typ, got, tc.want)
		}
	}
}

func minutes(list ...int) (at []time.Duration) {
	for _, n := range list {
		at = append(at, time.Duration(n)*time.Minute)
	}
	return at
}
