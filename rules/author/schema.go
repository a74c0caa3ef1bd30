package author

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict/schema"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/load"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// Schema returns the JSON Schema of a document of a rule file, for editors:
// a rule of one of the types, a list, or a macro.
func Schema(kinds []engine.Kind) ([]byte, error) {
	shared := keyDescriptions()
	generator := schema.Generator{
		Values: map[reflect.Type]schema.Object{
			reflect.TypeFor[spec.Offset](): schema.Duration(),
			reflect.TypeFor[spec.Threat](): {"anyOf": []any{
				schema.Object{"type": "string", "pattern": `^[Aa][Tt][Tt][Aa][Cc][Kk]\.[Tt][0-9]{4}(\.[0-9]{3})?$`}, schema.Object{"type": "object"},
			}},
		},
		Keys: shared,
	}
	var documents []any
	for _, kind := range slices.SortedFunc(slices.Values(kinds), func(a, b engine.Kind) int { return strings.Compare(a.Name, b.Name) }) {
		g := generator
		g.Keys = maps.Clone(shared)
		for key, meaning := range kind.Keys {
			own := maps.Clone(g.Keys[key])
			if own == nil {
				own = schema.Object{}
			}
			own["description"] = meaning
			g.Keys[key] = own
		}
		of := g.Struct(reflect.ValueOf(kind.New()).Elem())
		properties := of["properties"].(schema.Object)
		properties["type"] = schema.Object{"const": kind.Name, "description": "It alerts when " + kind.Meaning + "."}
		properties["maturity"].(schema.Object)["enum"] = spec.Maturities()
		for key, words := range kind.Words {
			properties[key].(schema.Object)["enum"] = words
		}
		respond := properties["respond"].(schema.Object)["items"].(schema.Object)["properties"].(schema.Object)
		respond["action"].(schema.Object)["enum"] = ecs.ResponseActions()
		properties["stage"].(schema.Object)["enum"] = []string{"live", "shadow"}
		properties["across"].(schema.Object)["enum"] = []string{spec.AcrossTopics}
		properties["scope"].(schema.Object)["enum"] = ecs.AlertScopes()
		properties["kind"].(schema.Object)["enum"] = ecs.AlertKinds()
		of["title"] = kind.Name
		documents = append(documents, of)
	}
	list, macro := generator.Struct(reflect.ValueOf(load.ListDefinition{})), generator.Struct(reflect.ValueOf(load.MacroDefinition{}))
	return json.MarshalIndent(schema.Object{
		"$schema": schema.Draft, "title": "edrwatch rule", "oneOf": append(documents, list, macro),
	}, "", "  ")
}

// keyDescriptions says what editors show of a key, and what its type alone does
// not tell.
func keyDescriptions() map[string]schema.Object {
	keys := map[string]schema.Object{
		"id":         {"format": "uuid"},
		"severity":   {"enum": ecs.Severities()},
		"risk_score": {"minimum": 0, "maximum": 100},
		"expires":    {"format": "date"},
	}
	for key, meaning := range map[string]string{
		"id":                 "UUID of the rule; stays when the rule changes.",
		"name":               "Name, unique within its list.",
		"version":            "Counts up with every change of meaning; part of the ids of alerts.",
		"kind":               "What the alert is about: edr.alert.kind.",
		"description":        "What the rule finds, in a sentence.",
		"severity":           "How bad an alert is.",
		"risk_score":         "How bad, from 0 to 100, within the band of the severity: 0-21, 0-21, 22-47, 48-73, 74-100.",
		"maturity":           "Only rules of production maturity have to carry note, description and tests; deprecated ones do not run.",
		"enabled":            "false: the rule is checked and not run.",
		"references":         "Pages that describe the behaviour or the records.",
		"false_positives":    "Harmless things that cause alerts of the rule.",
		"known_gaps":         "What the rule does not see.",
		"note":               "Triage guide in Markdown: what an analyst does with the alert.",
		"threat":             "Techniques of MITRE ATT&CK: attack.t1562.001, or the structured form of Elastic's rules.",
		"scope":              "What the alert is about: one host, or many.",
		"across":             "topics: the events of one agent are judged together that come in several topics.",
		"group_by":           "Fields that make the key of windows and episodes; default the agent ([entity]). A ? after a name makes it optional.",
		"keep_firing_for":    "How long an episode goes on without a further match.",
		"suppress":           "An episode lasts at least this long; what matches in it is counted, not raised.",
		"rollup":             "Folds alerts about many agents into one incident with a denominator.",
		"over":               "Agents from which on their alerts are one incident.",
		"within":             "The time within which so many begin, or an absent last step stays away.",
		"budget":             "Mean time that the rule may take for a candidate event; over it the rule turns shadow and says so.",
		"stage":              "live, or shadow: judged and counted, but silent.",
		"exceptions":         "Conditions that take events out of the rule's sight until a day, each with an owner.",
		"expires":            "The first day on which the exception no longer holds, such as 2026-12-31.",
		"owner":              "Who answers for the exception.",
		"severity_mapping":   "Severity by condition on the event that raises the alert; the first that is true wins.",
		"risk_score_mapping": "Risk score by condition on the event that raises the alert; the first that is true wins.",
		"condition":          "An expression over ECS and edr.* fields, such as event.action == \"sensor-crashed\".",
		"when":               "An expression over fields of the event.",
		"where":              "An expression over fields of the alert.",
		"window":             "How long events of a key are counted together, in event time.",
		"window_kind":        "sliding (the default), tumbling, or session: events of which each comes less than gap after the one before.",
		"gap":                "Of a session: when nothing comes for that long it is over.",
		"no_data":            "What happens to an open episode when the key's data stops: none, keep, alert or resolve.",
		"having":             "Bounds on what is counted: gt, gte, lt, lte, eq; of agents also percent of the live ones and min.",
		"percent":            "A share of the live agents of the key's product and OS.",
		"min":                "With percent: so many agents at least.",
		"respond":            "What is asked of the gateway's responders because of alerts; nothing is sent unless responses are enabled.",
		"action":             "What is asked for.",
		"to":                 "Names of responders in the gateway's configuration; all without it.",
		"on":                 "Statuses of alerts about which it is asked: firing (the default), resolved.",
		"min_severity":       "The least severity of an alert about which it is asked.",
		"parameters":         "What the responder gets with it, such as ring for move_to_ring.",
		"tests":              "Tests on a virtual clock: events in, alerts out.",
		"expect":             "How many alerts there are by, or at, some time.",
		"clock":              "Start of the test, RFC 3339.",
		"set":                "Fields of the event.",
		"repeat":             "Repeats the event; {n} in strings is the number of the repetition.",
		"fleet":              "Agents that send the same event at an interval.",
	} {
		if keys[key] == nil {
			keys[key] = schema.Object{}
		}
		keys[key]["description"] = meaning
	}
	return keys
}
