package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
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
	first, seen := live.current.Load(), filesState(cfg.RuleDirs)

	write(strings.Replace(reloadedRule, "log-cleared", "log-cleard", 1) + "\nconditon: x\n")
	if filesState(cfg.RuleDirs) == seen {
		t.Error("a changed file is not noticed")
	}
	live.reload()
	if live.current.Load() != first || !strings.Contains(log.String(), "r.yml:13") || testutil.ToFloat64(live.reloads.WithLabelValues("failed")) != 1 {
		t.Errorf("a bad file: set replaced %v, log %s", live.current.Load() != first, log.String())
	}

	write(reloadedRule + "---" + strings.NewReplacer("1111", "2222", "cleared", "stopped").Replace(reloadedRule))
	live.reload()
	if n := len(live.current.Load().Rules()); n != 2 || testutil.ToFloat64(live.reloads.WithLabelValues("ok")) != 1 {
		t.Errorf("%d rules after the reload, want 2: %s", n, log.String())
	}
}

// TestLookupTablesAreReloaded adds a service to the user's table of agents.
func TestLookupTablesAreReloaded(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "agents.csv")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const header = "kind,name,type,vendor,product\n"
	write(header)
	cfg := DetectionConfig{MappingDirs: []string{dir}, Library: true}
	detection, err := LoadDetection(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	live := newLiveMappings(detection, cfg, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	mapper := &liveMapper{live: live}
	agentType := func() (found string) {
		t.Helper()
		record := event.Record{Value: []byte(`{"SourceName":"Service Control Manager","EventID":7036,"Channel":"System","Hostname":"h","EventTime":"2024-07-19 04:12:00","param1":"HomeGuard","param2":"Stopped"}`)}
		if err := mapper.Map(&event.Partition{}, &record, func(e *event.Event) { found = strings.Clone(e.Str(ecs.AgentType)) }); err != nil {
			t.Fatal(err)
		}
		return found
	}
	if got := agentType(); got != "" {
		t.Fatalf("an unknown service is of agent %q", got)
	}
	write("kind,nonsense\nservice\n")
	live.reload()
	if testutil.ToFloat64(live.reloads.WithLabelValues("failed")) != 1 || !strings.Contains(log.String(), "agents.csv") {
		t.Errorf("a bad table: %s", log.String())
	}
	write(header + "service,HomeGuard,home-guard,Home,HomeGuard\n")
	live.reload()
	if got := agentType(); got != "home-guard" {
		t.Errorf("after the reload the service is of agent %q: %s", got, log.String())
	}
}
