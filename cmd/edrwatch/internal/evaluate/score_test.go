package evaluate

import (
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/sources/simulator"
)

func TestScoresOfOneRun(t *testing.T) {
	start := time.Date(2024, 7, 19, 4, 0, 0, 0, time.UTC)
	at := func(m int) time.Time { return start.Add(time.Duration(m) * time.Minute) }
	truth := simulator.Truth{Scenario: "s", Agents: 1000, Start: start, End: start.Add(12 * time.Hour), Incidents: []simulator.Incident{{
		ID: "push", Start: at(10), Expect: []string{"mass_silence", "bad_rollout"}, Tolerate: []string{"silent_host"}, Within: 3 * time.Minute,
		Content: "C-00000291-00000000-00000032.sys", Online: 100,
		Hosts: []simulator.Host{{Name: "a", AgentID: "1", At: at(11)}, {Name: "b", AgentID: "2", At: at(12)}, {Name: "c", AgentID: "3", At: at(30)}, {Name: "d", At: at(31)}},
	}}}
	alert := func(m int, id, kind, severity, scope, version string, hosts ...string) Alert {
		return Alert{Alert: simulator.Alert{Kind: kind, Scope: scope, Time: at(m), Hosts: hosts}, ID: id, Severity: severity, Status: "firing", Version: version}
	}
	named := alert(14, "m", "bad_rollout", "critical", "fleet", "32 C-00000291-00000000-00000032.sys", "2", "c.corp.example")
	named.Verdict = "rollback"
	s := Judge(truth, []Alert{
		alert(5, "e", "cpu_spike", "info", "host", "", "x"),
		alert(12, "m0", "mass_silence", "critical", "cohort", "", "1", "x"),
		alert(13, "h", "silent_host", "high", "host", "", "a"),
		named,
		alert(15, "f", "tamper", "low", "host", "", "a"),
		alert(16, "f", "tamper", "low", "host", "", "a"), // The same episode says more.
	})
	if len(s.Incidents) != 1 || s.Days != 0.5 || s.Info != 1 || s.Tolerated != 1 || len(s.False) != 1 {
		t.Fatalf("unexpected score: %+v", s)
	}
	i := s.Incidents[0]
	if !i.Found || i.After != 2*time.Minute || !i.Named || i.NamedIn != 4*time.Minute || i.Verdict != "rollback" || i.Dark != 0.02 {
		t.Errorf("unexpected times, verdict or share: %+v", i)
	}
	// Of 1, x, 2 and c three were hit; of the four hosts that were hit three were named.
	if i.Precision != 0.75 || i.Recall != 0.75 {
		t.Errorf("expected a precision and a recall of 0.75, found %g and %g", i.Precision, i.Recall)
	}

	rows := Summarize([]Score{s, Judge(truth, nil)})
	if len(rows) != 2 || rows[0].FalsePer1000() != 1 || rows[1].Found != 1 || rows[1].Runs != 2 || rows[1].OnTime != 1 {
		t.Errorf("unexpected rows: %+v", rows)
	}
	var table strings.Builder
	if err := WriteTable(&table, rows); err != nil || !strings.Contains(table.String(), "1/2") || !strings.Contains(table.String(), "rollback 1") {
		t.Errorf("%v, unexpected table:\n%s", err, &table)
	}
}

func TestVerdictsAreReadWhereverTheyStand(t *testing.T) {
	for _, doc := range []string{
		`{"edr":{"alert":{"kind":"bad_rollout","verdict":"rollback"}}}`,
		`{"edr":{"alert":{"kind":"bad_rollout","evidence":{"verdict":"rollback"}}}}`,
		`{"edr":{"alert":{"kind":"bad_rollout","evidence":{"verdict":["rollback"]}}}}`,
	} {
		if a, err := parseAlert([]byte(doc)); err != nil || a.Verdict != "rollback" {
			t.Errorf("%s: found %q, %v", doc, a.Verdict, err)
		}
	}
	if _, err := parseAlert([]byte(`[`)); err == nil {
		t.Error("expected an error for a document that is broken")
	}
}
