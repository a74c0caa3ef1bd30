package mappings

import (
	"encoding/json"
	"reflect"

	"github.com/edrwatch/edrwatch/pipeline/strict/schema"
)

// Schema returns the JSON Schema of a mapping file, for editors. Keys whose
// values depend on others, such as fields, are described by name alone.
func Schema() ([]byte, error) {
	texts := schema.ListOf(schema.Text())
	g := schema.Generator{
		Values: map[reflect.Type]schema.Object{
			reflect.TypeFor[paths]():    texts,
			reflect.TypeFor[aliases]():  texts,
			reflect.TypeFor[partList](): {"type": []string{"object", "array"}},
		},
		Keys: map[string]schema.Object{},
	}
	for key, meaning := range map[string]string{
		"vendor":    "Who makes the product whose records the file maps.",
		"product":   "The product.",
		"dataset":   "event.dataset of the records; unique among all files.",
		"root":      "Name of the object that holds the vendor's own fields; default the vendor in lower case.",
		"fallback":  "The file is asked after the others.",
		"match":     "Shapes of the records that the file takes.",
		"before":    "Datasets of other files that records of both their shapes do not go to.",
		"topics":    "Kafka topics of the records.",
		"headers":   "Kafka headers of the records.",
		"alone":     "A record whose lists of each have no elements is an event itself.",
		"unfold":    "Texts of a record that hold more than they show, such as JSON.",
		"aliases":   "The places where what the file calls by one name may stand.",
		"record_id": "Paths that together identify a record.",
		"timestamp": "Where the time of the event stands, and in what format.",
		"zone":      "Time zone of times without one.",
		"drop":      "Paths that are left out.",
		"names":     "Vendor fields with their Elasticsearch types, which rules can use.",
		"lookups":   "Tables by name.",
		"by":        "Paths whose value chooses the entry of events.",
		"events":    "What is made of each kind of record.",
		"action":    "event.action of the event.",
		"voice":     "Whose voice the record is: agent, host, server or unknown.",
		"set":       "Fields with constant values.",
		"fields":    "Fields with where their values come from.",
		"enrich":    "Fields that are filled from one row of a lookup table.",
		"expr":      "Fields with expressions over the event.",
		"cases":     "What further holds for records that satisfy a condition.",
	} {
		g.Keys[key] = schema.Object{"description": meaning}
	}
	out := g.Struct(reflect.ValueOf(fileSpec{}))
	out["$schema"], out["title"] = schema.Draft, "edrwatch mapping"
	return json.MarshalIndent(out, "", "  ")
}
