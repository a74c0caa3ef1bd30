package worker

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/deploy/responder/console"
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/respond"
)

func act() respond.Act {
	return respond.Act{
		Schema: respond.Schema, ID: "1", Action: "pause_rollout", Alert: respond.Alert{ID: "a", Status: "firing", Reason: "12 of 933 failed", Hosts: []string{}},
		Subject: respond.Subject{Product: "falcon", ContentVersion: "32", ContentChannel: "291"},
	}
}

func TestConsoleDoesWhatItCan(t *testing.T) {
	vendor := console.New("t")
	server := httptest.NewServer(vendor)
	defer server.Close()
	c := Console{URL: server.URL, Token: "t", HTTP: server.Client()}
	a := act()
	for range 2 {
		if err := c.Do(t.Context(), &a); err != nil {
			t.Fatal(err)
		}
	}
	if list := vendor.Rollouts(); len(list) != 1 || list[0].State != "paused" || list[0].Changes != 1 {
		t.Errorf("the console shows %+v", list)
	}
	for want, change := range map[string]func(*respond.Act){
		"no action open_case": func(a *respond.Act) { a.Action = "open_case" },
		"that is resolved":    func(a *respond.Act) { a.Alert.Status = "resolved" },
		"names no version":    func(a *respond.Act) { a.Subject.ContentVersion = "" },
		"only suspected":      func(a *respond.Act) { a.Action, a.Subject.Suspected = "rollback_content", true },
		"no content to roll": func(a *respond.Act) {
			a.Action, a.Subject.ContentVersion, a.Subject.SensorVersion = "rollback_content", "", "7"
		},
	} {
		a := act()
		change(&a)
		if err := c.Do(t.Context(), &a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q, found %v", want, err)
		}
	}
	c.Token = "old"
	if err := c.Do(t.Context(), &a); err == nil || strings.Contains(err.Error(), "not possible") {
		t.Errorf("a token that is renewed soon: %v", err)
	}
}

func TestParseRefusesWhatItDoesNotKnow(t *testing.T) {
	for value, want := range map[string]string{
		`{"schema":"edrwatch.response/2","id":"1","action":"notify"}`: "expected schema",
		`{"schema":"edrwatch.response/1"}`:                            "expected id and action",
		`[]`:                                                          "expected an act",
	} {
		if _, err := Parse([]byte(value)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: expected %q, found %v", value, want, err)
		}
	}
}

// TestSchemaKnowsEveryKey compares the documented schema with what is sent.
func TestSchemaKnowsEveryKey(t *testing.T) {
	text, err := os.ReadFile("../response.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	full := act()
	full.Parameters = map[string]string{"ring": "x"}
	full.Alert.Denominator, full.Alert.Key, full.Alert.Start = 1, "k", "s"
	full.Subject = respond.Subject{Product: "p", AgentID: "a", SensorVersion: "s", ContentVersion: "c", ContentChannel: "n", OS: "o", Site: "s", Verdict: "hold", Suspected: true}
	sent, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var value map[string]any
	if err := json.Unmarshal(sent, &value); err != nil {
		t.Fatal(err)
	}
	compare(t, "", schema, value)
	actions := schema["properties"].(map[string]any)["action"].(map[string]any)["enum"].([]any)
	if len(actions) != len(ecs.ResponseActions()) {
		t.Errorf("the schema lists %d actions, the vocabulary %d", len(actions), len(ecs.ResponseActions()))
	}
	for i, action := range ecs.ResponseActions() {
		if i < len(actions) && actions[i] != action {
			t.Errorf("action %d is %v, want %s", i, actions[i], action)
		}
	}
}

func compare(t *testing.T, at string, schema, value map[string]any) {
	t.Helper()
	properties, _ := schema["properties"].(map[string]any)
	for name, v := range value {
		known, ok := properties[name].(map[string]any)
		if !ok {
			t.Errorf("the schema does not know %s%s", at, name)
			continue
		}
		if inner, ok := v.(map[string]any); ok && known["properties"] != nil {
			compare(t, at+name+".", known, inner)
		}
	}
	for name := range properties {
		if _, ok := value[name]; !ok {
			t.Errorf("the schema has %s%s, which is never sent", at, name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"schema":"edrwatch.response/1","id":"1","action":"notify"}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		if a, err := Parse(value); err == nil && (a.ID == "" || a.Action == "") {
			t.Fatalf("%s: %+v", value, a)
		}
	})
}
