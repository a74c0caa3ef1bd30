package rules

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/ecs/ecstest"
	"github.com/edrwatch/edrwatch/pipeline/goldentest"
	"github.com/edrwatch/edrwatch/rules/ruletest"
)

// TestAlertDocuments pins whole documents: one that an event raises, one that
// a timer raises, and their ends.
func TestAlertDocuments(t *testing.T) {
	set := compileRules(t, dictionary(t), `
id: 00000000-0000-4000-8000-00000000000a
name: Restart storm
version: 3
kind: restart_storm
severity: high
risk_score: 55
maturity: development
description: The agent starts again and again.
tags: [availability]
threat: [attack.t1562.001]
type: threshold
condition: event.action == "sensor-started"
window: 10m
having: {gte: 3}
---
id: 00000000-0000-4000-8000-00000000000b
name: Silent agent
kind: silent_host
severity: info
maturity: development
type: silence
condition: event.action == "sensor-heartbeat"
after: 10m
`)
	f := newFeed(t, set, SessionOptions{})
	for i := range 3 {
		f.send(time.Duration(i)*time.Minute, "event.action", "sensor-started", "agent.id", "a1", "agent.type", "crowdstrike-falcon",
			"agent.version", "7.11.1", "host.name", "PC-1", "host.os.type", "windows", "observer.vendor", "CrowdStrike", "event.id", "x")
	}
	f.send(3*time.Minute, "event.action", "sensor-heartbeat", "agent.id", "a1")
	for at := 4 * time.Minute; at < 20*time.Minute; at += time.Minute {
		f.send(at, "event.action", "inventory", "agent.id", "a2")
	}
	f.send(20*time.Minute, "event.action", "sensor-heartbeat", "agent.id", "a1")
	got := strings.Join(f.bodies, "\n") + "\n"
	const golden = "testdata/alerts.golden.ndjson"
	if goldentest.Update() {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestAlertFields checks every alert of a run of the library's tests against
// what sinks, dashboards and other programs rely on.
func TestAlertFields(t *testing.T) {
	dict := dictionary(t)
	checker, err := ecstest.NewChecker(dict)
	if err != nil {
		t.Fatal(err)
	}
	files, err := Parse(Library())
	if err != nil {
		t.Fatal(err)
	}
	for _, src := range files.Sources() {
		set, err := files.With(src).Compile(dict)
		if err != nil {
			t.Fatal(err)
		}
		for j := range src.Decl.Shared().Tests {
			test := &src.Decl.Shared().Tests[j]
			begin, _ := test.Start()
			f := newFeed(t, set, SessionOptions{})
			for _, a := range ruletest.Arrivals(test, begin) {
				a.Fill(f.e)
				f.s.Detect(a.At, f.e, f.emit)
			}
			checkAlerts(t, set.Rules()[0], f.alerts)
			for _, body := range f.bodies {
				for _, problem := range checker.Check([]byte(body)) {
					t.Errorf("%s: %v in %s", set.Rules()[0].Name, problem, body)
				}
			}
		}
	}
}

func checkAlerts(t *testing.T, r *Rule, alerts []map[string]any) {
	t.Helper()
	seen := map[string]bool{}
	for _, a := range alerts {
		get := func(path string) any {
			var v any = a
			for part := range strings.SplitSeq(path, ".") {
				m, _ := v.(map[string]any)
				v = m[part]
			}
			return v
		}
		for _, path := range []string{
			"@timestamp", "event.kind", "event.action", "event.id", "event.severity", "event.risk_score", "event.start", "event.end",
			"rule.id", "rule.name", "rule.version", "rule.category", "message", "edr.alert.id", "edr.alert.kind", "edr.alert.severity",
			"edr.alert.status", "edr.alert.reason", "edr.alert.scope", "edr.alert.count", "edr.alert.evidence", "ecs.version",
		} {
			if get(path) == nil {
				t.Errorf("%s: %s is missing in %v", r.Name, path, a)
			}
		}
		if kind, _ := get("edr.alert.kind").(string); !slices.Contains(ecs.AlertKinds(), kind) {
			t.Errorf("%s: kind %q", r.Name, kind)
		}
		if id := get("event.id").(string); seen[id] {
			t.Errorf("%s: two documents have the id %s", r.Name, id)
		} else {
			seen[id] = true
		}
		if get("event.start").(string) > get("event.end").(string) {
			t.Errorf("%s: starts at %v, after its end %v", r.Name, get("event.start"), get("event.end"))
		}
	}
}
