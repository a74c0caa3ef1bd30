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
	for at := time.Duration(0); at < 30*time.Minute; at += 10 * time.Second {
		if at%time.Minute == 0 {
			for n := range 40 {
				send(at, "sensor-heartbeat", "x", n)
				send(at, "sensor-heartbeat", "y", n)
			}
		}
		n := int(at/(10*time.Second)) - 6
		if n < 0 {
			continue
		}
		if n < 30 {
			send(at, "sensor-crashed", "x", n)
		}
		if n < 5 {
			send(at, "sensor-crashed", "y", n)
		}
	}
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
	if single != 15 || folded != 20 { // Ten and five before; nothing is lost.
		t.Errorf("%d alerts of their own, %d folded", single, folded)
	}
	want := []string{
		"2m40s firing rule 1 x 10 of 40 cohort high", "3m40s firing rule 1 x 16 of 40 cohort high", "4m40s firing rule 1 x 22 of 40 cohort high",
		"5m40s firing rule 1 x 28 of 40 cohort high", "25m50s resolved rule 1 x 30 of 40 cohort high",
	}
	if strings.Join(incident, "\n") != strings.Join(want, "\n") {
		t.Errorf("incident\n%s\nwant\n%s", strings.Join(incident, "\n"), strings.Join(want, "\n"))
	}
}

// TestRollupEnds are incidents that once stayed open for ever, or counted an
// agent twice.
func TestRollupEnds(t *testing.T) {
	crash := func(f *feed, at time.Duration, agent, version, process string) {
		f.send(at, "event.action", "sensor-crashed", "agent.id", agent, "agent.version", version, "process.name", process)
	}
	for _, tc := range []struct {
		name, rest string
		play       func(f *feed)
		want       []string
	}{
		{"alerts that had ended before it began", "keep_firing_for: 1m\nrollup: {by: [], over: 3, within: 10m}", func(f *feed) {
			for i := range 3 {
				crash(f, time.Duration(4*i)*time.Minute, fmt.Sprint("a", i), "1", "p")
			}
		}, []string{"8m10s firing 3", "18m10s resolved 3"}},
		{"agents that got another version", "keep_firing_for: 5m\nrollup: {by: [agent.version], over: 3, within: 10m}", func(f *feed) {
			for i := range 3 {
				crash(f, time.Duration(i)*time.Minute, fmt.Sprint("a", i), "1", "p")
			}
			for i := range 3 {
				f.send(4*time.Minute, "agent.id", fmt.Sprint("a", i), "agent.version", "2")
			}
		}, []string{"2m10s firing 3", "12m10s resolved 3"}},
		{"two alerts about one agent", "keep_firing_for: 5m\ngroup_by: [entity, process.name]\nrollup: {by: [], over: 2, within: 10m}", func(f *feed) {
			crash(f, 0, "a", "1", "p")
			crash(f, time.Minute, "a", "1", "q")
			crash(f, 3*time.Minute, "b", "1", "p")
		}, []string{"3m10s firing 2", "13m10s resolved 2"}},
		{"more than half fire still", "suppress: 25m\nrollup: {by: [], over: 2, within: 10m}", func(f *feed) {
			crash(f, 0, "a", "1", "p")
			crash(f, 5*time.Minute, "b", "1", "p")
			crash(f, 7*time.Minute, "c", "1", "p") // Looked at when 17m, 27m and 37m are over.
		}, []string{"5m10s firing 2", "7m10s firing 3", "37m0s resolved 3"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFeed(t, compileRules(t, dictionary(t), ruleYAML(1, "match", "condition: event.action == \"sensor-crashed\"\n"+tc.rest)), SessionOptions{})
			tc.play(f)
			for at := 8 * time.Minute; at < 5*time.Hour; at += time.Minute {
				f.advance(at)
			}
			var got []string
			for i, line := range f.said() {
				if alert := f.alerts[i]["edr"].(map[string]any)["alert"].(map[string]any); alert["denominator"] != nil {
					words := strings.Fields(line)
					got = append(got, words[0]+" "+words[1]+" "+words[len(words)-1])
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("incidents %v, want %v\n%s", got, tc.want, strings.Join(f.said(), "\n"))
			}
		})
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
