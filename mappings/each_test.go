package mappings

import (
	"slices"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// TestElementsHaveIDsOfTheirOwn maps an alert with several pieces of evidence
// twice: each is an event that no other of the record passes for a repetition
// of, and the record sent again gives the same ids. Without any evidence the
// alert is an event all the same.
func TestElementsHaveIDsOfTheirOwn(t *testing.T) {
	m := libraryPlan(t).NewMapper()
	ids := func(record string) (list []string) {
		err := m.Map(&event.Partition{}, &event.Record{Value: []byte(record)}, func(e *event.Event) {
			if e.Mapped != "microsoft_defender_endpoint.log" {
				t.Errorf("%s is mapped by %q", record, e.Mapped)
			}
			list = append(list, string([]byte(e.RecordID)))
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	const alert = `{"id":"a1","lastUpdateTime":"2024-07-19T04:15:39Z","machineId":"m1","alertCreationTime":"2024-07-19T04:10:01Z","evidence":`
	three := alert + `[{"entityType":"User"},{"entityType":"Process"},{"entityType":"Process"}]}`
	first := ids(three)
	if len(first) != 3 || len(slices.Compact(slices.Sorted(slices.Values(first)))) != 3 {
		t.Errorf("three pieces of evidence have the ids %q", first)
	}
	if again := ids(three); !slices.Equal(first, again) {
		t.Errorf("the record again gives %q, not %q", again, first)
	}
	for _, none := range []string{`[]}`, `null}`, `{"entityType":"File"}}`} {
		if got := ids(alert + none); len(got) != 1 || got[0] != "microsoft_defender_endpoint.log|a1|2024-07-19T04:15:39Z" {
			t.Errorf("evidence %s: got the ids %q", none, got)
		}
	}
}

// TestNamesAreSplit looks through every golden pair: no name of a host or user
// has its domain before it.
func TestNamesAreSplit(t *testing.T) {
	eachGolden(t, func(file string, d goldenDocument) {
		if strings.HasPrefix(file, "metricbeat/") {
			return // Its documents are ECS already, and so are its names of users.
		}
		for _, name := range []string{d.Host.Name, d.User.Name} {
			if slices.Contains([]byte(name), '\\') {
				t.Errorf("%s: %q is a name with its domain", file, name)
			}
		}
	})
}
