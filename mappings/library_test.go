package mappings

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs/ecstest"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// rowsOf reads a table of the library as maps by column.
func rowsOf(t *testing.T, file string) []map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment = '#'
	lines, err := r.ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	rows := make([]map[string]string, 0, len(lines))
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, column := range lines[0] {
			row[column] = line[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// TestHostEventsAreClassified maps an event of every row of the tables that
// classify what is not about an agent: the classification must arrive and be
// one that ECS allows.
func TestHostEventsAreClassified(t *testing.T) {
	plan := libraryPlan(t)
	checker, err := ecstest.NewChecker(plan.dict, plan.Vendors()...)
	if err != nil {
		t.Fatal(err)
	}
	m := plan.NewMapper()
	check := func(t *testing.T, name, record string, row map[string]string) {
		t.Helper()
		err := m.Map(&event.Partition{}, &event.Record{Value: []byte(record)}, func(e *event.Event) {
			raw := e.AppendJSON(nil)
			for _, problem := range checker.Check(raw) {
				t.Errorf("%s: %v", name, problem)
			}
			var doc struct {
				Event struct {
					Kind, Outcome  string
					Category, Type []string
				}
			}
			if err := json.Unmarshal(raw, &doc); err != nil {
				t.Fatal(err)
			}
			kind := row["kind"]
			if kind == "" {
				kind = "event"
			}
			got := fmt.Sprint(doc.Event.Kind, doc.Event.Category, doc.Event.Type, doc.Event.Outcome)
			want := fmt.Sprint(kind, strings.Fields(row["category"]), strings.Fields(row["type"]), row["outcome"])
			if got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
	for _, row := range rowsOf(t, "crowdstrike/events.csv") {
		check(t, row["event"], fmt.Sprintf(`{"event_simpleName":%q,"aid":"a1","cid":"c1","timestamp":"1721362201000"}`, row["event"]), row)
	}
	providers := map[string]string{"security": "Microsoft-Windows-Security-Auditing", "sysmon": "Microsoft-Windows-Sysmon"}
	for _, row := range rowsOf(t, "windows/events.csv") {
		check(t, row["log"]+" "+row["id"], fmt.Sprintf(`{"@timestamp":"2024-07-19T04:10:01Z","winlog":{"provider_name":%q,"event_id":%q}}`, providers[row["log"]], row["id"]), row)
	}
}

// TestEveryActivityHasGolden holds the table of SentinelOne's activities and
// the golden pairs together: every type is in one, as the table says.
func TestEveryActivityHasGolden(t *testing.T) {
	type document struct {
		Event struct{ Code, Action string }
		EDR   struct {
			State    string
			Isolated *bool
		}
	}
	seen := map[string]document{}
	files, err := filepath.Glob("sentinelone/testdata/activit*.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var documents []document
		if err := json.Unmarshal(raw, &documents); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, d := range documents {
			seen[d.Event.Code] = d
		}
	}
	for _, row := range rowsOf(t, "sentinelone/activities.csv") {
		d, ok := seen[row["type"]]
		isolated := ""
		if d.EDR.Isolated != nil {
			isolated = fmt.Sprint(*d.EDR.Isolated)
		}
		switch {
		case !ok:
			t.Errorf("activity %s (%s) has no golden pair", row["type"], row["name"])
		case d.Event.Action != row["action"], d.EDR.State != row["state"], isolated != row["isolated"]:
			t.Errorf("activity %s is %s, state %q, isolated %q in its golden pair; the table says %s, %q, %q",
				row["type"], d.Event.Action, d.EDR.State, isolated, row["action"], row["state"], row["isolated"])
		}
	}
}

// TestAgentsAreOneEach holds the table of services, drivers and processes to
// one agent a name: of two the later would win unseen.
func TestAgentsAreOneEach(t *testing.T) {
	seen := map[string]string{}
	for _, row := range rowsOf(t, "agents.csv") {
		key := row["kind"] + " " + strings.ToLower(row["name"])
		if before, ok := seen[key]; ok {
			t.Errorf("%s is there twice: of %s and %s", key, before, row["type"])
		}
		seen[key] = row["type"]
		for column, value := range row {
			if value == "" || value != strings.TrimSpace(value) {
				t.Errorf("%s: column %s is %q", key, column, value)
			}
		}
		if kinds := []string{"service", "driver", "process", "product"}; !slices.Contains(kinds, row["kind"]) {
			t.Errorf("%s: expected a kind of %s", key, strings.Join(kinds, ", "))
		}
	}
}
