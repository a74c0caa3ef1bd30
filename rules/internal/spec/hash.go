package spec

import (
	"encoding/json"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// silentKeys are the keys of a rule that show in no alert: a rule in which only
// they change is the same rule.
func silentKeys() []string {
	return []string{"tests", "note", "references", "false_positives", "known_gaps", "author", "license", "created", "updated"}
}

// wordingKeys are the keys that show in alerts and do not decide about them: a
// rule in which only they change goes on with its state.
func wordingKeys() []string {
	return []string{
		"name", "version", "description", "severity", "risk_score", "severity_mapping", "risk_score_mapping", "tags", "threat", "maturity", "stage", "budget", "respond",
	}
}

// Hashes tell rules apart: logic, those that could judge differently; output,
// those whose alerts could look different. A list or macro counts where its name
// occurs. Both are empty for what JSON does not know.
func Hashes(n strict.Node, defs *expression.Definitions) (logic, output string) {
	keys, ok := n.Value().(map[string]any)
	if !ok {
		return "", ""
	}
	for _, key := range silentKeys() {
		delete(keys, key)
	}
	all, err := json.Marshal(keys)
	if err != nil {
		return "", ""
	}
	for _, key := range wordingKeys() {
		delete(keys, key)
	}
	own, err := json.Marshal(keys)
	if err != nil {
		return "", ""
	}
	used, err := json.Marshal(definitionsIn(string(own), defs))
	if err != nil {
		return "", ""
	}
	logic = event.HashID(string(own), string(used))
	return logic, event.HashID(logic, string(all))
}

// definitionsIn returns the lists and macros whose names occur in a text, or in
// the text of such a macro. A name that occurs by chance costs a rule its state
// without need, and nothing else.
func definitionsIn(text string, defs *expression.Definitions) map[string]any {
	used := map[string]any{}
	for found := true; found; {
		found = false
		for name, items := range defs.Lists {
			if used[name] == nil && strings.Contains(text, name) {
				used[name] = items
			}
		}
		for name, macro := range defs.Macros {
			if used[name] == nil && strings.Contains(text, name) {
				used[name], found = macro.Value, true
				text += " " + macro.Value
			}
		}
	}
	return used
}
