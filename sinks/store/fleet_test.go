package store

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

func agentOf(t *testing.T, s *Store, id string) Agent {
	t.Helper()
	agents, _, err := s.Fleet(t.Context(), FleetQuery{Limit: MaxLimit})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range agents {
		if a.ID == id {
			return a
		}
	}
	t.Fatalf("agent %s is not among %d", id, len(agents))
	return Agent{}
}

func TestAgentRowIsTheSameInAnyOrder(t *testing.T) {
	docs := []*event.Document{
		doc("1", start, "sensor-started", "pc-1.corp.example", "a1", `"agent":{"id":"a1","type":"crowdstrike-falcon","version":"7.15"},"host":{"name":"pc-1.corp.example","os":{"name":"Windows","version":"11"}},"edr":{"state":"protecting","mode":"kernel"}`),
		doc("2", start+10*second, "content-updated", "pc-1.corp.example", "a1", `"edr":{"content":{"version":"291-32"}}`),
		doc("3", start+20*second, "mode-changed", "pc-1.corp.example", "a1", `"edr":{"mode":"user","state":"reduced","rollout":{"ring":"early"}}`),
		doc("4", start+5*second, "policy-failed", "pc-1.corp.example", "a1", `"agent":{"version":"7.16"},"edr":{"state":"degraded"}`),
	}
	want := Agent{ID: "a1", Type: "crowdstrike-falcon", Version: "7.16", Host: "pc-1.corp.example", OS: "Windows 11", State: "reduced", Mode: "user",
		Content: "291-32", Ring: "early", Action: "mode-changed", FirstSeen: start, LastSeen: start + 20*second, Documents: 4}
	for seed := range uint64(12) {
		s := open(t, nil)
		order := rand.New(rand.NewPCG(seed, 1)).Perm(len(docs))
		split := int(seed) % len(docs)
		for _, part := range [][]int{order[:split], order[split:]} {
			var batch []*event.Document
			for _, i := range part {
				batch = append(batch, docs[i])
			}
			write(t, s, batch...)
		}
		write(t, s, docs...) // duplicates say nothing new
		if got := agentOf(t, s, "a1"); got != want {
			t.Errorf("order %v split at %d:\n got %+v\nwant %+v", order, split, got, want)
		}
	}
}

func TestAgentsAreJoinedByTypeAndHost(t *testing.T) {
	s := open(t, nil)
	service := `"agent":{"type":"crowdstrike-falcon"},"host":{"name":"PC-1"},"edr":{"state":"disabled"}`
	write(t, s, doc("1", start, "sensor-stopped", "PC-1", "", service))
	if a := agentOf(t, s, "crowdstrike-falcon@pc-1"); a.State != "disabled" {
		t.Errorf("before the id is known: %+v", a)
	}
	write(t, s, doc("2", start+second, "sensor-heartbeat", "pc-1.corp.example", "a1", `"agent":{"id":"a1","type":"crowdstrike-falcon"},"host":{"name":"pc-1.corp.example"}`))
	write(t, s, doc("3", start+2*second, "sensor-stopped", "PC-1", "", service))
	agents, total, err := s.Fleet(t.Context(), FleetQuery{})
	if err != nil || total != 1 || agents[0].ID != "a1" || agents[0].Documents != 3 || agents[0].FirstSeen != start || agents[0].State != "disabled" {
		t.Errorf("%d agents: %+v, %v", total, agents, err)
	}
	// The id may be known before the host is.
	write(t, s, doc("4", start, "sensor-heartbeat", "a2", "a2", `"agent":{"id":"a2","type":"falcon"},"edr":{"mode":"kernel"}`), doc("5", start+9*second, "resource-usage", "PC-2", "", `"agent":{"type":"falcon"},"host":{"name":"PC-2"},"edr":{"mode":"user"}`))
	write(t, s, doc("6", start+second, "inventory", "PC-2", "a2", `"agent":{"id":"a2","type":"falcon"},"host":{"name":"PC-2"}`))
	if a := agentOf(t, s, "a2"); a.Documents != 3 || a.LastSeen != start+9*second || a.Mode != "user" || a.Host != "PC-2" {
		t.Errorf("the host told after the id: %+v", a)
	}
	if _, total, err := s.Fleet(t.Context(), FleetQuery{}); total != 2 || err != nil {
		t.Errorf("%d agents, %v", total, err)
	}
}

func TestWhatDoesNotMoveAnAgent(t *testing.T) {
	s := open(t, nil)
	write(t, s, doc("1", start, "sensor-heartbeat", "pc", "a1", `"agent":{"type":"x"},"edr":{"state":"protecting"}`))
	year := 365 * 86400 * second
	raised := alert("2", "ep", start+year, "firing", "high", "silent_host", "pc")
	raised.AgentID = "a1"
	gateway := doc("3", start+year, "other", "gw", "", `"agent":{"type":"edrwatch"}`)
	gateway.Stream = event.Gateway
	write(t, s, raised, gateway,
		doc("4", start+year, "sensor-heartbeat", "pc", "a1", `"edr":{"clock":["future"]}`),
		doc("5", start+year, "sensor-heartbeat", "pc", "a1", `"event":{"created":"2024-07-19T04:01:00.000Z"},"edr":{"clock":["future"]}`),
		doc("6", start, "host-booted", "pc-9", "", `"host":{"name":"pc-9"}`))
	_, total, err := s.Fleet(t.Context(), FleetQuery{})
	if a := agentOf(t, s, "a1"); total != 1 || a.LastSeen != start+60*second || err != nil {
		t.Errorf("%d agents, last seen %d s after the start, %v", total, (a.LastSeen-start)/second, err)
	}
}

func TestFleetQueries(t *testing.T) {
	s := open(t, func(c *Config, _ *Settings) { c.MaxAgents = 30 })
	for i := range 40 {
		state := []string{"protecting", "degraded", ""}[i%3]
		write(t, s, doc(fmt.Sprint(i), start+int64(i)*second, "sensor-heartbeat", fmt.Sprintf("pc-%02d", i), fmt.Sprintf("a%02d", i),
			fmt.Sprintf(`"agent":{"type":"falcon","version":"7.%d"},"host":{"name":"pc-%02d"},"edr":{"state":%q,"mode":"kernel"}`, i%2, i, state)))
	}
	for _, tc := range []struct {
		name  string
		q     FleetQuery
		total int
		first string
	}{
		{"over the limit the longest unseen are forgotten", FleetQuery{}, 30, "a10"},
		{"sorted by last seen", FleetQuery{Sort: "last_seen", Desc: true}, 30, "a39"},
		{"by state", FleetQuery{State: "Degraded"}, 10, "a10"},
		{"without a state", FleetQuery{State: "none"}, 10, "a11"},
		{"values come before none", FleetQuery{Sort: "state", Desc: true}, 30, "a12"},
		{"by words", FleetQuery{Text: "PC-1 falcon"}, 10, "a10"},
		{"text is no pattern", FleetQuery{Text: "pc%"}, 0, ""},
		{"offset", FleetQuery{Offset: 29}, 30, "a39"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			agents, total, err := s.Fleet(t.Context(), tc.q)
			first := ""
			if len(agents) > 0 {
				first = agents[0].ID
			}
			if err != nil || total != tc.total || first != tc.first {
				t.Errorf("%d agents, first %q, %v", total, first, err)
			}
		})
	}
	if _, _, err := s.Fleet(t.Context(), FleetQuery{Sort: "id; DROP TABLE agents"}); err == nil {
		t.Error("an unknown order was accepted")
	}
	sum, err := s.FleetSummary(t.Context(), FleetQuery{})
	if err != nil || sum.Agents != 30 || sum.Newest != start+39*second || len(sum.State) != 3 || len(sum.Version) != 2 || sum.Version[0] != (Group{"falcon 7.0", 15}) {
		t.Errorf("summary %+v, %v", sum, err)
	}
}

func TestAlertsShowTheLatestStatus(t *testing.T) {
	s := open(t, nil)
	resolved := alert("r", "ep1", start+60*second, "resolved", "high", "silent_host", "pc-1")
	// Out of order and with equal times: a later status stands.
	write(t, s, resolved, alert("f", "ep1", start, "firing", "critical", "silent_host", "pc-1"),
		alert("r2", "ep2", start, "resolved", "low", "cpu_spike", "pc-2"), alert("f2", "ep2", start, "firing", "low", "cpu_spike", "pc-2"),
		alert("f3", "ep3", start+30*second, "firing", "medium", "cpu_spike", "pc-3"))
	for _, tc := range []struct {
		name string
		q    Query
		want string
	}{
		{"all, the latest updated first", Query{}, "r f3 r2"},
		{"by status", Query{Status: "firing"}, "f3"},
		{"by the severity of the latest", Query{Severity: "critical"}, ""},
		{"by host", Query{Host: "PC-1"}, "r"},
		{"by one host of several", Query{Host: "other-host"}, "r f3 r2"},
		{"by rule and text", Query{Rule: "rule-cpu_spike", Text: "pc-3"}, "f3"},
		{"by time", Query{From: start + 60*second}, "r"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			page, err := s.Alerts(t.Context(), tc.q)
			var docs []Doc
			for _, e := range page.Episodes {
				docs = append(docs, e.Latest)
			}
			if err != nil || ids(docs) != tc.want || page.Total != len(docs) {
				t.Errorf("%q of %d, %v", ids(docs), page.Total, err)
			}
		})
	}
	e, docs, err := s.Alert(t.Context(), "ep1")
	if err != nil || e.Started != start || e.Updated != start+60*second || e.Documents != 2 || ids(docs) != "f r" {
		t.Errorf("episode %+v, documents %q, %v", e, ids(docs), err)
	}
	sum, err := s.AlertSummary(t.Context(), start, 0)
	if err != nil || len(sum) != 3 {
		t.Errorf("summary %+v, %v", sum, err)
	}
	page, err := s.Alerts(t.Context(), Query{Limit: 2})
	if err != nil || page.Next == (Cursor{}) {
		t.Fatalf("%+v, %v", page, err)
	}
	if page, err = s.Alerts(t.Context(), Query{Limit: 2, Before: page.Next}); err != nil || len(page.Episodes) != 1 || page.Episodes[0].AlertID != "ep2" {
		t.Errorf("second page %+v, %v", page, err)
	}
}
