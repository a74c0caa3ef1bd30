package main

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

func TestFleetOfACapture(t *testing.T) {
	capture := filepath.Join(t.TempDir(), "july19.capture")
	if _, stderr, code := cli(t, "", "simulate", "--scenario", "july19", "--agents", "300", "--out", capture); code != exitOK {
		t.Fatal(stderr)
	}
	stdout, stderr, code := cli(t, "", "fleet", "--in", capture, "--presence", "silent", "--output", "json")
	var silent []fleet.Record
	if err := json.Unmarshal([]byte(stdout), &silent); err != nil || code != exitOK || len(silent) == 0 {
		t.Fatalf("exit code %d, %d silent, %v: %s", code, len(silent), err, stderr)
	}
	for _, a := range silent {
		if a.Presence != "silent" || a.Product == "" {
			t.Errorf("not what was asked for: %+v", a)
		}
	}
	stdout, _, code = cli(t, "", "fleet", "--in", capture, "--output", "csv")
	rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if err != nil || code != exitOK || len(rows) < 250 || rows[0][0] != "id" {
		t.Errorf("exit code %d, %d rows, %v", code, len(rows), err)
	}
	stdout, _, _ = cli(t, "", "fleet", "--in", capture, "--summary")
	if !strings.Contains(stdout, "protecting") || !strings.Contains(stdout, "PRODUCT") {
		t.Errorf("summary: %s", stdout)
	}
	if stdout, _, _ = cli(t, "", "fleet", "--in", capture, "--product", "nobody"); stdout != "No agent is known that fits.\n" {
		t.Errorf("nobody: %s", stdout)
	}
	for _, args := range [][]string{{"--output", "xml"}, {"--presence", "here"}, {"--summary", "--output", "csv"}} {
		if _, stderr, code := cli(t, "", append([]string{"fleet", "--in", capture}, args...)...); code != exitUsage || !strings.Contains(stderr, "expected") {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
	}
}

func TestFleetAsksAGatewayForAllPages(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/api/v1/fleet/inventory" || q.Get("mode") != "ebpf" || q.Get("behind") != "true" {
			http.Error(w, `{"error":{"message":"not asked as expected"}}`, http.StatusForbidden)
			return
		}
		page := fleet.Page{Agents: []fleet.Record{{ID: "1", Host: "h1", Product: "p"}}, Next: "h1\tp\t1", Total: 2}
		if q.Get("after") == page.Next {
			page.Agents[0].ID, page.Next = "2", ""
		}
		_ = json.NewEncoder(w).Encode(page)
	}))
	defer server.Close()
	stdout, stderr, code := cli(t, "", "fleet", "--server", server.URL, "--mode", "ebpf", "--behind", "--output", "json")
	var agents []fleet.Record
	if err := json.Unmarshal([]byte(stdout), &agents); err != nil || code != exitOK || len(agents) != 2 || agents[1].ID != "2" {
		t.Errorf("exit code %d, %v, %d agents: %s%s", code, err, len(agents), stdout, stderr)
	}
}

// TestFleetAsksSeveralGateways: together they have every partition, alone each
// says what is missing.
func TestFleetAsksSeveralGateways(t *testing.T) {
	gateway := func(number int32) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			page := fleet.Page{Agents: []fleet.Record{{ID: "id", Host: "host-" + string('b'-number), Product: "p"}}, Total: 1}
			page.Coverage = fleet.Coverage{Gateway: "g", Partial: true, Partitions: []fleet.TopicShare{{Topic: "edr.windows", Owned: []int32{number}, Of: 2}}}
			_ = json.NewEncoder(w).Encode(page)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	one, two := gateway(0), gateway(1)
	stdout, stderr, code := cli(t, "", "fleet", "--server", one, "--server", two)
	if a, b := strings.Index(stdout, "host-a"), strings.Index(stdout, "host-b"); code != exitOK || a < 0 || b < a || stderr != "" {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if _, stderr, code := cli(t, "", "fleet", "--server", one); code != exitOK || !strings.Contains(stderr, "1 of 2 partitions of edr.windows") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if _, _, code := cli(t, "", "fleet", "--server", one, "--server", "http://127.0.0.1:1"); code == exitOK {
		t.Error("one of the gateways did not answer, and nobody minded")
	}
}
