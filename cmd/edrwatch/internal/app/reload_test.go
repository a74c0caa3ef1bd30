package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const reloadedRule = `
id: 11111111-1111-4111-8111-111111111111
name: Log cleared
version: 1
kind: tamper
type: match
severity: low
risk_score: 15
maturity: beta
description: A log was cleared.
condition: event.action == "log-cleared"
`

func TestRulesAreReloadedAsAWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.yml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(reloadedRule)
	cfg := DetectionConfig{RuleDirs: []string{dir}}
	detection, err := LoadDetection(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	live := newLiveRules(detection, cfg, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	first, seen := live.Ruleset(), filesState(cfg.RuleDirs)

	write(strings.Replace(reloadedRule, "log-cleared", "log-cleard", 1) + "\nconditon: x\n")
	if filesState(cfg.RuleDirs) == seen {
		t.Error("a changed file is not noticed")
	}
	live.reload()
	if live.Ruleset() != first || !strings.Contains(log.String(), "r.yml:13") || testutil.ToFloat64(live.reloads.WithLabelValues("failed")) != 1 {
		t.Errorf("a bad file: set replaced %v, log %s", live.Ruleset() != first, log.String())
	}

	write(reloadedRule + "---" + strings.NewReplacer("1111", "2222", "cleared", "stopped").Replace(reloadedRule))
	live.reload()
	if n := len(live.Ruleset().Rules()); n != 2 || testutil.ToFloat64(live.reloads.WithLabelValues("ok")) != 1 {
		t.Errorf("%d rules after the reload, want 2: %s", n, log.String())
	}
}
