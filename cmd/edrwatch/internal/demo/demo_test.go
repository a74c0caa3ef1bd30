package demo

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
)

// TestDemoCatchesJuly19 plays the whole demo on a small fleet: broker,
// gateway, store and judgement, with every record over TCP.
func TestDemoCatchesJuly19(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var out bytes.Buffer
	verdict, err := Run(t.Context(), Config{
		Scenario: "july19", Agents: 300, Seed: 1, Pace: time.Second, Build: buildinfo.Info{Version: "test"},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Out: &out,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if len(verdict.Missed) > 0 || len(verdict.Caught) < 8 || !verdict.Complete {
		t.Errorf("caught %d, missed %v", len(verdict.Caught), verdict.Missed)
	}
	if len(verdict.Unexpected) > 0 {
		t.Errorf("alerts without an incident: %v", verdict.Unexpected)
	}
	for _, want := range []string{"Console http://127.0.0.1:", "channel-file-291", "bad_rollout after", "would pause_rollout crowdstrike-falcon 291 32"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not tell %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("control sequences on what is not a terminal")
	}
}

func TestUnknownScenario(t *testing.T) {
	_, err := Run(t.Context(), Config{Scenario: "july91", Agents: 10, Logger: slog.New(slog.DiscardHandler), Out: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "july19") {
		t.Errorf("error %v does not name the nearest scenario", err)
	}
}

func TestTextsFromRecordsCannotSteerTheTerminal(t *testing.T) {
	if got := printable("a\x1b]0;x\x07b\r\n\u202ec\u009bd"); got != "a]0;xbcd" {
		t.Errorf("printable = %q", got)
	}
}
