package variation

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestEveryScenarioIsDeterministicAndInOrder(t *testing.T) {
	for _, name := range Names() {
		if name == "v-quiet-weekend" {
			continue // It differs in its length only.
		}
		var runs [2]bytes.Buffer
		for i := range runs {
			c, err := New(Options{Scenario: name, Seed: 7, Agents: 150})
			if err != nil {
				t.Fatal(err)
			}
			last, records, broken := int64(0), 0, 0
			for e, ok := c.Next(); ok; e, ok = c.Next() {
				if e.Time < last {
					t.Fatalf("%s: a record at %d after one at %d", name, e.Time, last)
				}
				last = e.Time
				records++
				if !json.Valid(e.Value) {
					broken++
				}
				runs[i].Write(e.Value)
			}
			if records < 1000 || broken == 0 || broken > records/500 {
				t.Errorf("%s: %d of %d records are broken", name, broken, records)
			}
			for _, h := range c.Truth().Incidents {
				if len(h.Expect) > 0 && len(h.Hosts) == 0 && h.ID != "pipeline-outage" {
					t.Errorf("%s: %s hits nobody", name, h.ID)
				}
			}
		}
		if !bytes.Equal(runs[0].Bytes(), runs[1].Bytes()) {
			t.Errorf("%s: one seed, different bytes", name)
		}
	}
}

func TestSeedsDiffer(t *testing.T) {
	first := func(seed uint64) string {
		c, err := New(Options{Scenario: "v-tamper", Seed: seed, Agents: 100})
		if err != nil {
			t.Fatal(err)
		}
		e, _ := c.Next()
		return string(e.Value)
	}
	if first(1) == first(2) {
		t.Error("two seeds begin with the same record")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		options Options
		want    string
	}{
		{Options{Scenario: "v-nothing", Agents: 100}, "expected a scenario of"},
		{Options{Scenario: "v-tamper", Agents: 3}, "expected 100 to 100000 agents, found 3"},
	} {
		if _, err := New(c.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: expected %q, found %v", c.options, c.want, err)
		}
	}
}
