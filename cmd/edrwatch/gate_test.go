package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// TestMain lets the gate's script call this test binary as edrwatch.
func TestMain(m *testing.M) {
	if os.Getenv("EDRWATCH_TEST_AS_COMMAND") != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestGateEndsWithTheVerdict(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("../../deploy/rollout-gate/gate.sh")
	if err != nil {
		t.Fatal(err)
	}
	for verdict, want := range map[fleet.Verdict]struct {
		code int
		text string
	}{
		fleet.Continue: {exitOK, "continue: crowdstrike-falcon"}, fleet.Hold: {exitHold, "hold: crowdstrike-falcon"},
		fleet.Rollback: {exitRollback, "SAFE DEPLOYMENT PRACTICE"},
	} {
		cmd := exec.CommandContext(t.Context(), "sh", script, "crowdstrike-falcon", "7/1", "--kind", "sensor")
		cmd.Env = append(os.Environ(), "EDRWATCH="+self, "EDRWATCH_TEST_AS_COMMAND=1", "EDRWATCH_TOKEN=secret", "GATE_TIMEOUT=100ms", "EDRWATCH_SERVER="+gate(t, verdict))
		out, _ := cmd.CombinedOutput() // The exit code is what counts.
		if code := cmd.ProcessState.ExitCode(); code != want.code || !strings.Contains(string(out), want.text) {
			t.Errorf("%s: exit code %d, want %d: %s", verdict, code, want.code, out)
		}
	}
}
