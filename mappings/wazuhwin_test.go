package mappings

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// TestOnceEscaped takes one half of doubled escapes away, and leaves texts
// alone that are escaped as JSON wants.
func TestOnceEscaped(t *testing.T) {
	for in, want := range map[string]string{
		`"C:\\\\Windows\\\\cmd.exe"`:      `"C:\\Windows\\cmd.exe"`,
		`"C:\\Windows\\cmd.exe"`:          `"C:\\Windows\\cmd.exe"`,
		`"\\\\\\\\srv\\\\share"`:          `"\\\\srv\\share"`,
		`"\\\\srv\\share"`:                `"\\\\srv\\share"`,
		`"\\\"C:\\\\a b\\\\c.exe\\\" -x"`: `"\"C:\\a b\\c.exe\" -x"`,
		`"say \"hello\""`:                 `"say \"hello\""`,
		`"a\nb"`:                          `"a\nb"`,
		`"a\\\\b\nc"`:                     `"a\\b\nc"`,
		`""`:                              `""`,
		`7`:                               `7`,
		`"x\\\\"`:                         `"x\\"`,
	} {
		if got := string(appendOnceEscaped(nil, []byte(in))); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// TestWazuhSaysTheSame wraps the Windows events of the golden pairs in EVTX as
// Wazuh's agent and manager do, and maps both: the event is the same.
func TestWazuhSaysTheSame(t *testing.T) {
	plan := libraryPlan(t)
	files, err := filepath.Glob("windows/testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var record struct {
			Event struct {
				System    map[string]any
				EventData map[string]any
			}
		}
		if strings.HasSuffix(file, ".golden.json") || json.Unmarshal(raw, &record) != nil || record.Event.System == nil || record.Event.EventData == nil {
			continue
		}
		wrapped, ok := asWazuh(record.Event.System, record.Event.EventData)
		if !ok {
			continue
		}
		compared++
		want, got := fieldsOf(mapped(t, plan, "", string(raw))), fieldsOf(mapped(t, plan, "", wrapped))
		delete(want, "user.id") // Wazuh leaves the account of the header away.
		for name, value := range want {
			if got[name] != value && name != "message" {
				t.Errorf("%s: %s is %s, wrapped by Wazuh %s", file, name, value, got[name])
			}
		}
	}
	if compared < 10 {
		t.Errorf("only %d events were compared", compared)
	}
}

// fieldsOf returns an event's fields as JSON by name.
func fieldsOf(e *event.Event) map[string]string {
	out := map[string]string{}
	for id, v := range e.Fields {
		out[e.Dictionary().Field(id).Name] = string(v.AppendJSON(nil))
	}
	return out
}

// asWazuh writes an event as Wazuh's manager does, false for one whose values
// have no names or members.
func asWazuh(system, data map[string]any) (string, bool) {
	attribute := func(name, inner string) any {
		object, _ := system[name].(map[string]any)
		attributes, _ := object["#attributes"].(map[string]any)
		return attributes[inner]
	}
	id := system["EventID"]
	if object, ok := id.(map[string]any); ok {
		id = object["#text"]
	}
	values := map[string]string{}
	for name, value := range data {
		switch value.(type) {
		case map[string]any, []any, nil:
			return "", false
		}
		if name == "" || name == "#attributes" {
			return "", false
		}
		text := fmt.Sprint(value)
		if f, ok := value.(float64); ok {
			text = strconv.FormatFloat(f, 'f', -1, 64)
		}
		values[strings.ToLower(name[:1])+name[1:]] = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
	}
	record, err := json.Marshal(map[string]any{
		"rule": map[string]any{"id": "61138", "level": 5}, "agent": map[string]any{"id": "042", "name": "WIN-FIN-0042"}, "manager": map[string]any{"name": "wazuh-01"},
		"data": map[string]any{"win": map[string]any{"eventdata": values, "system": map[string]any{
			"providerName": attribute("Provider", "Name"), "eventID": fmt.Sprint(id), "systemTime": attribute("TimeCreated", "SystemTime"),
			"eventRecordID": fmt.Sprint(system["EventRecordID"]), "channel": system["Channel"], "computer": system["Computer"],
		}}},
	})
	return string(record), err == nil
}
