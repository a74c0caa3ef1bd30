package store

import (
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// TestQueriesUseIndexes reads the database's plans: a page of the newest
// documents must come from an index in order, never from sorting everything.
func TestQueriesUseIndexes(t *testing.T) {
	s := filled(t)
	for _, tc := range []struct {
		name string
		q    Query
		want string
	}{
		{"everything", Query{}, "INDEX docs_events"},
		{"a time range", Query{From: start, To: start + second}, "INDEX docs_events (time>? AND time<?)"},
		{"a stream", Query{Streams: []event.Stream{event.Metrics}}, "INDEX docs_events"},
		{"text", Query{Text: "something"}, "INDEX docs_events"},
		{"a host", Query{Host: "pc-1"}, "INDEX docs_host (host=?)"},
		{"a host by its field", Query{Text: "host.name:pc-1"}, "INDEX docs_host (host=?)"},
		{"an action", Query{Text: "event.action:tamper-attempt", From: start}, "INDEX docs_action (action=? AND time>?)"},
		{"a rule", Query{Rule: "r"}, "INDEX docs_ruled"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			where, err := s.compile(&tc.q)
			if err != nil {
				t.Fatal(err)
			}
			where = where.and(condition{text: noAlerts})
			plan := planOf(t, s, "SELECT "+docColumns+" FROM docs d WHERE "+where.text+" ORDER BY d.time DESC, d.seq DESC LIMIT 50", where.args...)
			if !strings.Contains(plan, tc.want) || strings.Contains(plan, "TEMP B-TREE FOR ORDER BY") {
				t.Errorf("plan %s\nwant %s", plan, tc.want)
			}
		})
	}
	counting := "SELECT count(*), total(d.stream = 1) FROM docs d WHERE " + noAlerts + " AND d.time >= ? AND d.time < ?"
	if plan := planOf(t, s, counting, 1, 2); !strings.Contains(plan, "COVERING INDEX docs_events") {
		t.Errorf("histogram: %s", plan)
	}
	if plan := planOf(t, s, "SELECT 1 FROM docs d WHERE "+onlyAlerts+" ORDER BY d.time DESC, d.seq DESC"); !strings.Contains(plan, "docs_alerts") {
		t.Errorf("alerts: %s", plan)
	}
	if plan := planOf(t, s, "SELECT 1 FROM episodes e JOIN docs d ON d.seq = e.doc ORDER BY e.updated DESC, e.doc DESC LIMIT 5"); !strings.Contains(plan, "episodes_updated") {
		t.Errorf("episodes: %s", plan)
	}
}

func planOf(t *testing.T, s *Store, query string, args ...any) string {
	t.Helper()
	rows, err := s.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, step)
	}
	return strings.Join(plan, "; ")
}
