package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/api"
)

func TestRulesListAsksAGatewayForCosts(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/rules" {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string][]api.Rule{"rules": {
			{Name: "cheap", Cost: &api.RuleCost{Candidates: 10, Seconds: 0.001}},
			{Name: "dear", Cost: &api.RuleCost{
				Candidates: 1000, Matches: 7, Absent: 3, Errors: 2, Alerts: 1, Seconds: 2, Nanoseconds: 2e6, Keys: 12, StateBytes: 4097,
				Evictions: map[string]uint64{"keys": 1, "state": 4},
			}},
		}})
	}))
	defer server.Close()
	stdout, stderr, code := cli(t, "", "rules", "list", "--costs", "--server", server.URL)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != 0 || len(lines) != 3 {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	if got := strings.Join(strings.Fields(lines[1]), " "); got != "1000 7 3 2 1 2000000 2.000 12 5 5 dear" {
		t.Errorf("the dearest is %s", got)
	}
	stdout, _, _ = cli(t, "", "rules", "list", "--costs", "--server", server.URL, "--output", "json")
	var list []api.Rule
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || len(list) != 2 || list[0].Cost.StateBytes != 4097 {
		t.Errorf("%v: %s", err, stdout)
	}
	if _, stderr, code := cli(t, "", "rules", "list", "--costs", "my-rules"); code != exitUsage || !strings.Contains(stderr, "a gateway runs its own rules") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
