package mappings

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// TestEveryRecordHasAVoice ranges over the records of all golden pairs, which
// are one at least of every kind of event that a file names: each says whose
// voice it is, and the event answers so without allocating.
func TestEveryRecordHasAVoice(t *testing.T) {
	plan := libraryPlan(t)
	m := plan.NewMapper()
	voices := map[event.Voice]string{event.VoiceAgent: "agent", event.VoiceHost: "host", event.VoiceServer: "server", event.VoiceUnknown: "unknown"}
	cases, err := filepath.Glob("*/testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range cases {
		if strings.HasSuffix(file, ".golden.json") {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		err = m.Map(&event.Partition{}, &event.Record{Value: raw}, func(e *event.Event) {
			said := e.Str(ecs.EDRProvenanceVoice)
			if said == "" {
				t.Errorf("%s: %s of %s is nobody's voice", file, e.Str(ecs.EventAction), e.Mapped)
			}
			if e.Has(ecs.EDRProvenanceVoice) && voices[e.Voice()] != said {
				t.Errorf("%s: the event says %q and answers %v", file, said, e.Voice())
			}
			if n := testing.AllocsPerRun(1, func() { _ = e.Voice() }); n != 0 {
				t.Errorf("asking for the voice takes %v allocations", n)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestServersRaiseNobody holds what consoles, inventories and APIs tell to the
// server's voice: no record of theirs may pass for the agent's own, and what
// they list says when the agent was heard, where the vendor tells.
func TestServersRaiseNobody(t *testing.T) {
	for dataset, want := range map[string]struct {
		voice string
		seen  bool // tells when the agent was heard last
	}{
		"crowdstrike.host": {"server", true}, "crowdstrike.aidmaster": {"server", true}, "crowdstrike.event_stream": {"server", false},
		"crowdstrike.zta": {"server", false}, "sentinel_one.agent": {"server", true}, "sentinel_one.activity": {"server", false}, "sentinel_one.threat": {"server", false},
		"microsoft_defender_endpoint.machine": {"server", true}, "microsoft_defender_endpoint.device_info": {"server", false},
		"microsoft_defender_endpoint.machine_action": {"server", false}, "microsoft_defender_endpoint.log": {"server", false}, "m365_defender.event": {"server", false},
		"carbon_black_cloud.device": {"server", true}, "carbon_black_cloud.alert": {"server", false}, "carbon_black_cloud.audit": {"server", false},
		"elastic.fleet_agent": {"server", true}, "panw_cortex.alerts": {"server", false}, "trend_micro_vision_one.detection": {"server", false},
	} {
		found := 0
		eachGolden(t, func(file string, d goldenDocument) {
			if d.Event.Dataset != dataset {
				return
			}
			if found++; d.EDR.Provenance.Voice != want.voice {
				t.Errorf("%s: %s is the voice of the %s, expected the %s", file, d.Event.Action, d.EDR.Provenance.Voice, want.voice)
			}
		})
		if found == 0 {
			t.Errorf("%s has no golden pair", dataset)
		}
		seen := false
		eachGolden(t, func(_ string, d goldenDocument) {
			seen = seen || d.Event.Dataset == dataset && d.Entity.Seen != ""
		})
		if want.seen && !seen {
			t.Errorf("%s never says when an agent was heard last", dataset)
		}
	}
}

// goldenDocument is what tests of the whole library read of a golden pair.
type goldenDocument struct {
	Event struct {
		Action, Dataset, Code, Kind, Outcome, Reason string
		Severity                                     *int
	}
	Agent  struct{ ID, Type, Version string }
	Host   struct{ Name, ID string }
	User   struct{ Name, Domain string }
	Entity struct {
		Seen string `json:"last_seen_timestamp"`
	}
	Rule    map[string]any
	Threat  map[string]any
	Service struct{ State string }
	EDR     struct {
		State, Mode string
		Isolated    *bool
		Component   struct{ Name, Status string }
		Detection   struct{ Status, Verdict, Handled string }
		Content     struct{ Channel, Status string }
		Provenance  struct{ Voice string }
	}
}

// eachGolden reads every document of every golden pair.
func eachGolden(t *testing.T, visit func(file string, d goldenDocument)) {
	t.Helper()
	files, err := filepath.Glob("*/testdata/*.golden.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden pairs: %v", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var documents []goldenDocument
		if err := json.Unmarshal(raw, &documents); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, d := range documents {
			visit(file, d)
		}
	}
}

// TestVoiceIsRequired loads files that forget it, or say what is no voice.
func TestVoiceIsRequired(t *testing.T) {
	const file = "vendor: E\ndataset: e.e\nmatch: [{probe: \"*\"}]\naction: other\n"
	for text, want := range map[string]string{
		"":                                    "does not say whose voice",
		"voice: sensor\n":                     `"sensor" is not a value of edr.provenance.voice`,
		"voice: {from: who, map: {a: sensr}}": "is not a value of edr.provenance.voice",
	} {
		_, err := compileAll(t, mapFile("e/e.yml", file+text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	plan, err := compileAll(t, mapFile("e/e.yml", file+"voice: server\nby: [probe]\nevents: {beat: {action: sensor-heartbeat, voice: agent}, \"*\": {action: other}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, probe := range []string{"beat", "list"} {
		e := mapped(t, plan, "", fmt.Sprintf(`{"probe":%q}`, probe))
		got = append(got, e.Str(ecs.EDRProvenanceVoice))
	}
	if !slices.Equal(got, []string{"agent", "server"}) {
		t.Errorf("an event of a file overrides the file's voice: got %v", got)
	}
}

func mapFile(name, text string) fstest.MapFS { return fstest.MapFS{name: {Data: []byte(text)}} }

// TestReadmeTellsTheVoices holds the table of README.md to the golden pairs:
// every dataset with every voice that its records have, and the actions of the
// agent's own.
func TestReadmeTellsTheVoices(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Whose voice a record is\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]string{}
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		first, _, _ := strings.Cut(line[2:], " |")
		for name := range strings.SplitSeq(first, ", ") {
			rows[strings.Trim(name, "`")] = line
		}
	}
	known := libraryPlan(t).Names()
	eachGolden(t, func(file string, d goldenDocument) {
		dataset, voice := d.Event.Dataset, d.EDR.Provenance.Voice
		if dataset == "" || !slices.Contains(known, dataset) {
			return
		}
		row, ok := rows[dataset]
		said := voice
		if voice == "agent" {
			said = "`" + d.Event.Action + "`"
		}
		if !ok || !strings.Contains(row, said) {
			t.Errorf("README.md does not tell that %s of %s (%s) is the voice of the %s", d.Event.Action, dataset, file, voice)
		}
	})
}
