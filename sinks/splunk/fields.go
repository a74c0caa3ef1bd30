package splunk

import (
	"fmt"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// Field is a field as it is called in a Splunk search.
type Field struct {
	Name    string // as extracted by KV_MODE=json: lists end in "{}"
	Type    string // string, number, boolean, time or object
	Meaning string
}

// FieldList returns the fields of the dictionary that documents can have, in
// alphabetical order. A field of type object has fields of free names below it.
func FieldList(dict *ecs.Dictionary) []Field {
	var list []Field
	for _, name := range dict.Names() {
		id, _ := dict.Lookup(name)
		f := dict.Field(id)
		if !dict.Layout().Place(id).Leaf {
			continue
		}
		field := Field{Name: name, Type: f.Kind.String(), Meaning: f.Meaning}
		if f.Kind == ecs.Int {
			field.Type = ecs.Float.String()
		}
		if f.Array && f.Kind != ecs.JSON {
			field.Name += "{}"
		}
		list = append(list, field)
	}
	return list
}

// FieldTable writes the fields of the given sets (such as "edr") as a table in
// Markdown.
func FieldTable(dict *ecs.Dictionary, sets ...string) string {
	var b strings.Builder
	b.WriteString("| field | type | meaning |\n|---|---|---|\n")
	for _, f := range FieldList(dict) {
		for _, set := range sets {
			if strings.HasPrefix(f.Name, set+".") {
				fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, f.Type, strings.ReplaceAll(f.Meaning, "|", `\|`))
			}
		}
	}
	return b.String()
}
