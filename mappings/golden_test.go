package mappings

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/ecs/ecstest"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/goldentest"
)

// libraryPlan compiles what ships with edrwatch.
func libraryPlan(t testing.TB) *Plan {
	t.Helper()
	files, err := Parse(Library())
	if err != nil {
		t.Fatal(err)
	}
	dict, err := ecs.New(files.Fields()...)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := files.Compile(dict)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestGolden maps every testdata/<case>.json of the library and compares the
// events with <case>.golden.json. Every kind of event that a file names must
// have a case.
func TestGolden(t *testing.T) {
	plan := libraryPlan(t)
	m := plan.NewMapper()
	checker, err := ecstest.NewChecker(plan.dict, plan.Vendors()...)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	cases, err := filepath.Glob("*/testdata/*.json")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range cases {
		if strings.HasSuffix(file, ".golden.json") {
			continue
		}
		t.Run(strings.TrimSuffix(file, ".json"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var documents []json.RawMessage
			err = m.Map(&event.Partition{}, &event.Record{Value: raw}, func(e *event.Event) {
				seen[e.Mapped] = true
				seen[e.Mapped+": "+string(m.kind)] = true
				documents = append(documents, e.AppendJSON(nil))
				checkEvent(t, e)
				if !e.Has(ecs.Timestamp) { // The pipeline sets it then.
					e.Set(ecs.Timestamp, event.Time(1))
				}
				for _, problem := range checker.Check(e.AppendJSON(nil)) {
					t.Error(problem)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(documents, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			goldentest.Compare(t, strings.TrimSuffix(file, ".json")+".golden.json", append(got, '\n'))
		})
	}
	for _, mapping := range plan.mappings {
		if mapping != plan.fallback && mapping.split == 0 && !seen[mapping.dataset] {
			t.Errorf("%s has no golden pair", mapping.dataset)
		}
		for name := range mapping.events {
			if !seen[mapping.dataset+": "+name] {
				t.Errorf("%s: event %q has no golden pair", mapping.dataset, name)
			}
		}
	}
}

// checkEvent holds an event to what a mapping must fill.
func checkEvent(t *testing.T, e *event.Event) {
	t.Helper()
	for _, id := range []ecs.ID{ecs.Timestamp, ecs.EcsVersion, ecs.EventAction, ecs.EventKind, ecs.EventModule, ecs.EventDataset} {
		if e.Mapped != "" && !e.Has(id) {
			t.Errorf("%s is absent", e.Dictionary().Field(id).Name)
		}
	}
}
