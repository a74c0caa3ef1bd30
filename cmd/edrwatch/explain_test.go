package main

import (
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
