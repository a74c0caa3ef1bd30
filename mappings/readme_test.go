package mappings

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// TestReadmeExample compiles the example of README.md beside the library and
// maps a record by it.
func TestReadmeExample(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	plan, err := compileAll(t, Library(), fstest.MapFS{"example/guard.yml": {Data: []byte(example)}})
	if err != nil {
		t.Fatal(err)
	}
	e := mapped(t, plan, "", `{"guard_event":"beat","sensor_id":"s1","seq":4,"os":"Linux","flags":"2","load":"0.25","time_ms":1721362140000}`)
	const want = `{"@timestamp":"2024-07-19T04:09:00.000Z","agent":{"id":"s1","type":"example-guard"},"ecs":{"version":"9.4.0"},` +
		`"edr":{"provenance":{"voice":"agent"},"resource":{"cpu_pct":25},"state":"reduced"},"event":{"action":"sensor-heartbeat","category":["host"],"dataset":"example.guard",` +
		`"kind":"state","module":"example","outcome":"success","type":["info"]},"host":{"os":{"type":"linux"}},` +
		`"observer":{"product":"Guard","serial_number":"s1","vendor":"Example"},"example":{"guard_event":"beat","seq":4,"os":"Linux","flags":"2"}}`
	if got := string(e.AppendJSON(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if e.RecordID != "example.guard|s1|4" {
		t.Errorf("record id %q", e.RecordID)
	}
}

// TestReadmeNamesEveryEvent keeps the tables of README.md complete.
func TestReadmeNamesEveryEvent(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(text)
	for _, mapping := range libraryPlan(t).mappings {
		for name := range mapping.events {
			if !strings.Contains(readme, "`"+name+"`") {
				t.Errorf("README.md does not say what %s makes of %s", mapping.dataset, name)
			}
		}
	}
	for _, name := range transformNames() {
		if !strings.Contains(readme, name) {
			t.Errorf("README.md does not name the conversion %s", name)
		}
	}
}
