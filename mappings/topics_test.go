package mappings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// TestShapeAloneSuffices maps every golden input without a topic and with the
// topic of every source, its own and the wrong ones: a topic is a hint, and the
// events are the same.
func TestShapeAloneSuffices(t *testing.T) {
	plan := libraryPlan(t)
	var topics []string
	for _, m := range plan.mappings {
		for _, p := range m.topics {
			topics = append(topics, "prod."+p.text+".v1")
		}
	}
	slices.Sort(topics)
	topics = slices.Compact(topics)
	cases, err := filepath.Glob("*/testdata/*.json")
	if err != nil || len(cases) == 0 || len(topics) < 20 {
		t.Fatalf("%d cases, %d topics (%v)", len(cases), len(topics), err)
	}
	m := plan.NewMapper()
	events := func(topic string, raw []byte) string {
		var all []byte
		err := m.Map(&event.Partition{Topic: topic}, &event.Record{Value: raw}, func(e *event.Event) {
			all = append(append(append(all, e.Mapped...), ' '), e.RecordType...)
			all = append(e.AppendJSON(append(all, ' ')), '\n')
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(all)
	}
	for _, file := range cases {
		if strings.HasSuffix(file, ".golden.json") {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := events("", raw)
		for _, topic := range topics {
			if got := events(topic, raw); got != want {
				t.Errorf("%s from topic %s\ngot  %swant %s", file, topic, got, want)
				break
			}
		}
	}
}
