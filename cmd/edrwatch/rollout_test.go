package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

func TestRolloutOfACapture(t *testing.T) {
	capture := filepath.Join(t.TempDir(), "july19.capture")
	if _, stderr, code := cli(t, "", "simulate", "--scenario", "july19", "--agents", "600", "--out", capture); code != exitOK {
		t.Fatal(stderr)
	}
	stdout, stderr, code := cli(t, "", "rollout", "verdict", "crowdstrike-falcon", "32", "--channel", "291", "--in", capture)
	if code != exitRollback || !strings.HasPrefix(stdout, "rollback: crowdstrike-falcon content 291 32, ") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	stdout, _, code = cli(t, "", "rollout", "list", "--in", capture, "--output", "json")
	var list []fleet.Rollout
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || code != exitOK || len(list) < 2 {
		t.Errorf("exit code %d, %v: %s", code, err, stdout)
	}
	for output, want := range map[string]string{"text": "SAFE DEPLOYMENT PRACTICE", "markdown": "## Safe deployment practice", "json": `"conformance": {`} {
		stdout, stderr, code := cli(t, "", "rollout", "show", "crowdstrike-falcon", "32", "--in", capture, "--output", output)
		if code != exitOK || !strings.Contains(stdout, want) {
			t.Errorf("--output %s: exit code %d: %s%s", output, code, stdout, stderr)
		}
	}
	if _, stderr, code := cli(t, "", "rollout", "show", "crowdstrike-falcon", "none", "--in", capture); code != exitUsage || !strings.Contains(stderr, "edrwatch rollout list shows") {
		t.Errorf("a version that nobody has: exit code %d: %s", code, stderr)
	}
}

func TestHealthyRolloutOfACaptureContinues(t *testing.T) {
	capture := filepath.Join(t.TempDir(), "staged.capture")
	if _, stderr, code := cli(t, "", "simulate", "--scenario", "staged-rollout", "--agents", "400", "--out", capture); code != exitOK {
		t.Fatal(stderr)
	}
	stdout, stderr, code := cli(t, "", "rollout", "show", "crowdstrike-falcon", "7.17.18721.0", "--in", capture, "--output", "json")
	var r fleet.Rollout
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v: %s", code, err, stderr)
	}
	if r.Verdict != fleet.Continue || !r.Conformance.Phased || r.Harmed == 0 || r.FirstHarm != nil || r.Conformance.HarmToStop != nil || len(r.Rings) == 0 || !r.Rings[0].SoakKept || r.Rings[0].Compared < 3600 {
		t.Errorf("%s because of %v; the usual failures count as harm, or the rollout not as phased: %s", r.Verdict, r.Reasons, stdout)
	}
	if stdout, _, code := cli(t, "", "rollout", "verdict", "crowdstrike-falcon", "7.17.18721.0", "--in", capture); code != exitOK || !strings.HasPrefix(stdout, "continue: ") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
}

// gate answers as a gateway whose verdicts follow each other.
func gate(t *testing.T, verdicts ...fleet.Verdict) string {
	t.Helper()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != "/api/v1/rollouts/crowdstrike-falcon/7%2F1" || r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, `{"error":{"message":"not asked as expected"}}`, http.StatusForbidden)
			return
		}
		n := min(int(asked.Add(1)), len(verdicts)) - 1
		if verdicts[n] == "" {
			http.Error(w, `{"error":{"message":"nobody got it"}}`, http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(fleet.Rollout{Product: "crowdstrike-falcon", Kind: "sensor", Version: "7/1", Verdict: verdicts[n]})
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestRolloutVerdictIsTheExitCode(t *testing.T) {
	t.Setenv("EDRWATCH_TOKEN", "secret")
	for verdict, want := range map[fleet.Verdict]int{fleet.Continue: exitOK, fleet.Hold: exitHold, fleet.Rollback: exitRollback, "": exitUsage} {
		stdout, stderr, code := cli(t, "", "rollout", "verdict", "crowdstrike-falcon", "7/1", "--server", gate(t, verdict))
		if code != want || verdict != "" && !strings.HasPrefix(stdout, string(verdict)+": crowdstrike-falcon sensor 7/1") {
			t.Errorf("%q: exit code %d, want %d: %s%s", verdict, code, want, stdout, stderr)
		}
	}
}

func TestRolloutVerdictIsWaitedFor(t *testing.T) {
	t.Setenv("EDRWATCH_TOKEN", "secret")
	ask := []string{"rollout", "verdict", "crowdstrike-falcon", "7/1", "--wait", "--poll", "10ms", "--server"}
	stdout, stderr, code := cli(t, "", append(ask, gate(t, "", fleet.Hold, fleet.Hold, fleet.Continue))...)
	if code != exitOK || !strings.HasPrefix(stdout, "continue") || strings.Count(stderr, "\n") != 2 || !strings.Contains(stderr, "nobody got it") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	_, _, code = cli(t, "", append(ask, gate(t, fleet.Hold), "--timeout", "50ms")...)
	if code != exitHold {
		t.Errorf("after the timeout exit code %d", code)
	}
	stdout, _, code = cli(t, "", append(ask, gate(t, ""), "--timeout", "50ms")...)
	if code != exitHold || !strings.Contains(stdout, "no agent got the version yet") {
		t.Errorf("for a version that nobody got exit code %d: %s", code, stdout)
	}
	_, stderr, code = cli(t, "", append(ask, "http://127.0.0.1:1", "--timeout", "50ms")...)
	if code != exitUsage || !strings.Contains(stderr, "does it run") {
		t.Errorf("without a gateway exit code %d: %s", code, stderr)
	}
}

func TestRolloutWaitsNotForWhatNeverComes(t *testing.T) {
	ask := []string{"rollout", "verdict", "crowdstrike-falcon", "7/1", "--wait", "--timeout", "1h", "--poll", "10ms", "--server"}
	t.Setenv("EDRWATCH_TOKEN", "wrong")
	if _, stderr, code := cli(t, "", append(ask, gate(t, fleet.Hold))...); code != exitUsage || !strings.Contains(stderr, "EDRWATCH_TOKEN") {
		t.Errorf("a refused token: exit code %d: %s", code, stderr)
	}
	if _, stderr, code := cli(t, "", append(ask, "gateway:8686")...); code != exitUsage || !strings.Contains(stderr, "expected a URL") {
		t.Errorf("a server that is no URL: exit code %d: %s", code, stderr)
	}
	several := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":{"message":"several rollouts have this version: add kind= or channel="}}`, http.StatusBadRequest)
	}))
	defer several.Close()
	if _, stderr, code := cli(t, "", append(ask, several.URL)...); code != exitUsage || !strings.Contains(stderr, "add kind=") {
		t.Errorf("an ambiguous version: exit code %d: %s", code, stderr)
	}
	asked := 0
	restarting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 3 {
			http.Error(w, "", http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(fleet.Rollout{Product: "crowdstrike-falcon", Kind: "sensor", Version: "7/1", Verdict: fleet.Continue})
	}))
	defer restarting.Close()
	if stdout, stderr, code := cli(t, "", append(ask, restarting.URL)...); code != exitOK || !strings.HasPrefix(stdout, "continue") {
		t.Errorf("behind a proxy while the gateway restarts: exit code %d: %s%s", code, stdout, stderr)
	}
}
