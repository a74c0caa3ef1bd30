package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExplainShowsWhereFieldsComeFrom(t *testing.T) {
	record := `{"SourceName":"Service Control Manager","EventID":7036,"Channel":"System","Hostname":"PC-0042","EventTime":"2024-07-19 04:12:00",` +
		`"param1":"CrowdStrike Falcon Sensor Service","param2":"Stopped"}`
	stdout, stderr, code := cli(t, record, "explain", "--in", "-")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, line := range []string{
		`@timestamp is "2024-07-19T04:12:00.000Z"   [EventTime]`,
		`agent.type is "crowdstrike-falcon"   [table by param1]`,
		`event.action is "sensor-stopped"   [action of the kind of event]`,
		`host.name is "PC-0042"   [Hostname]`,
		`host.os.type is "windows"   [constant]`,
		`service.state is "stopped"   [param2]`,
	} {
		if !strings.Contains(stdout, line) {
			t.Errorf("no %s in\n%s", line, stdout)
		}
	}
}

func TestExplainShowsNoSecret(t *testing.T) {
	record := `{"SourceName":"Microsoft-Windows-Sysmon","EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Hostname":"PC-0042","EventTime":"2024-07-19 04:12:00",` +
		`"Image":"C:\\x\\mysql.exe","CommandLine":"mysql.exe -uroot -pHunter2Hunter2 shop"}`
	stdout, stderr, code := cli(t, record, "explain", "--in", "-")
	if code != 0 || strings.Contains(stdout, "Hunter2") || !strings.Contains(stdout, "[redacted]") {
		t.Errorf("exit code %d: %s\n%s", code, stderr, stdout)
	}
}

// TestExplainTellsTheNearestMiss judges all records together: one host stops
// three times of the four that the rule asks for, another four times.
func TestExplainTellsTheNearestMiss(t *testing.T) {
	dir := t.TempDir()
	rule := `id: 00000000-0000-4000-8000-000000000001
name: agent stops again and again
kind: other
severity: low
maturity: development
type: threshold
condition: event.action == "sensor-stopped"
group_by: [host.name]
window: 30m
having: {gte: 4}
`
	if err := os.WriteFile(filepath.Join(dir, "r.yml"), []byte(rule), 0o644); err != nil {
		t.Fatal(err)
	}
	var records strings.Builder
	for minute := range 4 {
		for _, host := range []string{"PC-1", "PC-2"} {
			if host == "PC-1" && minute == 3 {
				continue
			}
			fmt.Fprintf(&records, `{"SourceName":"Service Control Manager","EventID":7036,"Channel":"System","Hostname":%q,"EventTime":"2024-07-19 04:%02d:00",`+
				`"param1":"CrowdStrike Falcon Sensor Service","param2":"Stopped"}`+"\n", host, 10+minute)
		}
	}
	stdout, stderr, code := cli(t, records.String(), "explain", "--in", "-", "--rules", dir)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	_, end, _ := strings.Cut(stdout, "all 7 records together\n")
	want := "  alert    agent stops again and again: at 2024-07-19T04:13:00.000Z, firing: PC-2 (crowdstrike-falcon) had 4 matching events within 3m (threshold: >= 4 in 30m)\n" +
		"  miss     agent stops again and again: at 2024-07-19T04:12:00.000Z, PC-1 had 3 matching events within 30m; the rule asks for >= 4\n"
	if end != want {
		t.Errorf("got\n%s\nwant\n%s", end, want)
	}

	stdout, _, _ = cli(t, records.String(), "explain", "--in", "-", "--rules", dir, "--output", "json")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	var first struct {
		Line   int
		Events []struct {
			Mapping  string
			Event    map[string]any
			Verdicts []struct{ Rule, Result string }
		}
	}
	var last struct {
		Alerts []struct{ Rule, Status string }
		Misses []struct {
			Stage, Key, Measure string
			Value, Bound        float64
		}
	}
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatal(err)
	}
	if len(first.Events) != 1 || first.Events[0].Mapping != "windows.eventlog" || len(first.Events[0].Verdicts) != 1 || first.Events[0].Verdicts[0].Result != "true" {
		t.Errorf("%s", lines[0])
	}
	if len(last.Alerts) != 1 || len(last.Misses) != 1 || last.Misses[0].Stage != "bound" || last.Misses[0].Value != 3 || last.Misses[0].Bound != 4 || last.Misses[0].Key != "PC-1" {
		t.Errorf("%s", lines[len(lines)-1])
	}
}
