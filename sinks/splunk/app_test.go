package splunk

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/goldentest"
)

var deployed = filepath.Join("..", "..", "deploy", "splunk")

func dictionary(t *testing.T) *ecs.Dictionary {
	t.Helper()
	d, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDeployedFieldList keeps FIELDS.md equal to what is generated.
func TestDeployedFieldList(t *testing.T) {
	want := "# Fields\n\nGenerated from the dictionary: `EDRWATCH_UPDATE=1 go test ./sinks/splunk -run TestDeployedFieldList`.\n\n" +
		FieldTable(dictionary(t), "agent", "edr", "rule")
	path := filepath.Join(deployed, "FIELDS.md")
	if goldentest.Update() {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s differs from what is generated (%v)", path, err)
	}
	if !strings.Contains(want, "| `edr.rules{}` | string |") || !strings.Contains(want, "| `edr.resource.memory_bytes` | number |") {
		t.Errorf("the table is not as Splunk names things:\n%s", want)
	}
}

// conf reads a Splunk configuration file into stanzas of settings.
func conf(t *testing.T, name string) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployed, "TA-edrwatch", "default", name))
	if err != nil {
		t.Fatal(err)
	}
	stanzas := map[string]map[string]string{}
	var current map[string]string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			stanza := line[1 : len(line)-1]
			if stanzas[stanza] != nil {
				t.Errorf("%s: stanza %s is there twice", name, stanza)
			}
			current = map[string]string{}
			stanzas[stanza] = current
		default:
			key, value, ok := strings.Cut(line, "=")
			key = strings.TrimSpace(key)
			if !ok || current == nil || current[key] != "" {
				t.Errorf("%s: line %q is no setting, or is there twice", name, line)
				continue
			}
			current[key] = strings.TrimSpace(value)
		}
	}
	return stanzas
}

// dotted finds names such as edr.alert.kind.
var dotted = regexp.MustCompile(`\b[a-z]+(?:\.[a-z_]+)+\b`)

func TestAppUsesKnownFields(t *testing.T) {
	d := dictionary(t)
	check := func(where, text string) {
		for _, name := range dotted.FindAllString(text, -1) {
			name, _, _ = strings.Cut(name, ".evidence.")
			if name == "edr.alert" {
				continue // What evidence holds depends on the rule.
			}
			id, ok := d.Lookup(name)
			if !ok || !d.Layout().Place(id).Leaf {
				t.Errorf("%s uses %s, which is not in the dictionary", where, name)
			}
		}
	}
	props := conf(t, "props.conf")
	for _, s := range event.Streams() {
		if props[SourceType(s)] == nil {
			t.Errorf("props.conf has no stanza for %s", SourceType(s))
		}
	}
	if len(props) != len(event.Streams()) {
		t.Errorf("props.conf has %d stanzas, want %d", len(props), len(event.Streams()))
	}
	for sourceType, settings := range props {
		for key, value := range settings {
			if strings.HasPrefix(key, "EVAL-") || strings.HasPrefix(key, "FIELDALIAS-") {
				check("props.conf "+sourceType+" "+key, value)
			}
		}
		if settings["KV_MODE"] != "json" || settings["INDEXED_EXTRACTIONS"] != "" {
			t.Errorf("props.conf %s would extract fields twice, or not at all", sourceType)
		}
	}
	for name, settings := range conf(t, "eventtypes.conf") {
		check("eventtypes.conf "+name, settings["search"])
	}
	for name, settings := range conf(t, "savedsearches.conf") {
		check("savedsearches.conf "+name, settings["search"])
	}
	for name, settings := range conf(t, "macros.conf") {
		check("macros.conf "+name, settings["definition"])
	}
}

var (
	macro  = regexp.MustCompile("`([a-z_]+)`")
	values = regexp.MustCompile(`(event\.action|edr\.alert\.kind) IN \(([^)]*)\)`)
)

func TestAppUsesKnownValues(t *testing.T) {
	macros, types := conf(t, "macros.conf"), conf(t, "eventtypes.conf")
	var actions []string
	for _, a := range ecs.Actions() {
		actions = append(actions, a.Name)
	}
	for name, search := range conf(t, "savedsearches.conf") {
		types[name] = search
	}
	for name, definition := range macros {
		types["macro "+name] = map[string]string{"search": definition["definition"]}
	}
	for name, settings := range types {
		for _, m := range macro.FindAllStringSubmatch(settings["search"], -1) {
			if macros[m[1]] == nil {
				t.Errorf("event type %s uses the macro %s, which is not defined", name, m[1])
			}
		}
		for _, m := range values.FindAllStringSubmatch(settings["search"], -1) {
			known := actions
			if m[1] == "edr.alert.kind" {
				known = ecs.AlertKinds()
			}
			for value := range strings.SplitSeq(m[2], ",") {
				if value = strings.TrimSpace(value); !slices.Contains(known, value) {
					t.Errorf("event type %s asks for %s %q, which does not exist", name, m[1], value)
				}
			}
		}
	}
	for stanza := range conf(t, "tags.conf") {
		name, ok := strings.CutPrefix(stanza, "eventtype=")
		if !ok || types[name] == nil {
			t.Errorf("tags.conf tags %s, which is not defined", stanza)
		}
	}
	for _, forbidden := range []string{"local", "default/passwords.conf"} {
		if _, err := os.Stat(filepath.Join(deployed, "TA-edrwatch", forbidden)); err == nil {
			t.Errorf("an app must not come with %s", forbidden)
		}
	}
}
