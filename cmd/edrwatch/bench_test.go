package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/evaluate"
)

// TestTheLibraryFindsIncidentsAndIsQuietOtherwise is the short form of
// `bench detection`: incidents on single hosts, where nothing is a matter of
// chance, and a day like any other.
func TestTheLibraryFindsIncidentsAndIsQuietOtherwise(t *testing.T) {
	stdout, stderr, code := cli(t, "", "bench", "detection", "--agents", "300", "--seeds", "1", "--output", "json",
		"--scenario", "cpu-spike,crash-loop,protection-disabled,restart-storm,tamper,quiet")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != 6 {
		t.Fatalf("expected a line for each of 6 scenarios, found %d", len(lines))
	}
	for _, line := range lines {
		var s evaluate.Score
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if s.Load.Records == 0 || s.Days == 0 {
			t.Errorf("%s: nothing was judged: %s", s.Scenario, line)
		}
		for _, incident := range s.Incidents {
			if !incident.Found || incident.Precision < 1 || incident.Recall < 1 {
				t.Errorf("%s: %s: expected an alert that names its host: %+v", s.Scenario, incident.ID, incident)
			}
		}
		for _, a := range s.False {
			t.Errorf("%s: nothing explains %s about %v: %s", s.Scenario, a.Rule, a.Hosts, a.Message)
		}
	}
}

func TestBenchDetectionRefusesWhatItCannotDo(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"--scenario", "july"}, `unknown scenario "july"`, exitConfig},
		{[]string{"--output", "xml"}, "expected text or json", exitUsage},
		{[]string{"--scenario", "quiet", "--agents", "-1"}, "agents: expected 1 to", exitConfig},
	} {
		_, stderr, code := cli(t, "", append([]string{"bench", "detection"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: expected %q and exit code %d, found %d: %s", c.args, c.want, c.code, code, stderr)
		}
	}
}
