package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestRollup lets 30 of 40 agents of one product, and 5 of another, crash one
// after the other.
func TestRollup(t *testing.T) {
	set := compileRules(t, dictionary(t), strings.Replace(ruleYAML(1, "match", `condition: event.action == "sensor-crashed"
suppress: 20m
rollup: {by: [agent.type], over: 10, within: 10m}`), "severity: low", "severity: high", 1))
	f := newFeed(t, set, SessionOptions{})
	send := func(at time.Duration, act, typ string, n int) {
		f.send(at, "event.action", act, "agent.type", typ, "agent.id", fmt.Sprintf("%s%02d", typ, n), "host.name", fmt.Sprintf("host-%s%02d", typ, n))
	}
	for n := range 40 {
		send(0, "sensor-heartbeat", "x", n)
		send(0, "sensor-heartbeat", "y", n)
	}
	for n := range 30 {
		send(time.Minute+time.Duration(n)*10*time.Second, "sensor-crashed", "x", n)
		if n < 5 {
			send(time.Minute+time.Duration(n)*10*time.Second, "sensor-crashed", "y", n)
		}
	}
	f.advance(2 * time.Hour)
	single, folded, parent := 0, 0, ""
	var incident []string
	for i, line := range f.said() {
		alert := f.alerts[i]["edr"].(map[string]any)["alert"].(map[string]any)
		evidence := alert["evidence"].(map[string]any)
		if evidence["rollup"] == true {
			incident = append(incident, fmt.Sprintf("%s of %v %v %v", line, alert["denominator"], alert["scope"], alert["severity"]))
			if parent == "" {
				parent = alert["id"].(string)
				if n := len(evidence["alert_ids"].([]any)); n != 10 || evidence["alert_ids_total"] != 10.0 || len(alert["hosts"].([]any)) != 10 {
					t.Errorf("the incident names %d alerts of %v, hosts %v", n, evidence["alert_ids_total"], alert["hosts"])
				}
			}
			continue
		}
		if alert["status"] != "firing" {
			if alert["parent"] != nil && alert["parent"] != parent {
				t.Errorf("%s has the parent %v", line, alert["parent"])
			}
			continue
		}
		switch {
		case alert["parent"] == nil && alert["severity"] == "high":
			single++
		case alert["parent"] == parent && (alert["severity"] == "info" || folded == 0):
			folded++
		default:
			t.Errorf("%s: severity %v, parent %v", line, alert["severity"], alert["parent"])
		}
	}
	if single != 14 || folded != 21 { // Nine and five before; nothing is lost.
		t.Errorf("%d alerts of their own, %d folded", single, folded)
	}
	want := []string{
		"2m30s firing rule 1 x 10 of 40 cohort high", "3m30s firing rule 1 x 16 of 40 cohort high", "4m30s firing rule 1 x 22 of 40 cohort high",
		"5m30s firing rule 1 x 28 of 40 cohort high", "25m50s resolved rule 1 x 30 of 40 cohort high",
	}
	if strings.Join(incident, "\n") != strings.Join(want, "\n") {
		t.Errorf("incident\n%s\nwant\n%s", strings.Join(incident, "\n"), strings.Join(want, "\n"))
	}
}

func TestRollupRefused(t *testing.T) {
	for rest, want := range map[string]string{
		"rollup: {by: [agent.typ], over: 10, within: 1m}":       "did you mean \"agent.type\"?",
		"rollup: {over: 1, within: 1m}":                         "expected 2 to 100000",
		"rollup: {over: 5, within: 1m}\ngroup_by: [agent.type]": "add entity to group_by",
		"rollup: {over: 5}":                                     "missing key \"within\"",
	} {
		_, err := ParseFile("r.yml", []byte(ruleYAML(1, "match", "condition: event.action == \"error\"\n"+rest)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nerror %v, want %s", rest, err, want)
		}
	}
}
