package config

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// fieldDocs holds the comments of the Config structs' fields, one a line: the field and, after a tab, its comment. A
// test writes it from the sources (go test -run TestFieldDocs -update), so that editors show what the code says.
//
//go:embed fields.tsv
var fieldDocs string

// Schema returns the JSON Schema (draft 2020-12) of the configuration, for editors.
func Schema() ([]byte, error) {
	s := schema{docs: map[string]string{}}
	for line := range strings.Lines(fieldDocs) {
		name, doc, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		s.docs[name] = doc
	}
	cfg := Default()
	root := s.structure(reflect.ValueOf(&cfg).Elem())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "edrwatch configuration"
	return json.MarshalIndent(root, "", "  ")
}

type schema struct{ docs map[string]string }

// reference allows ${VAR} in place of a value that is not a text.
func reference() map[string]any {
	return map[string]any{"type": "string", "pattern": `^\$\{.*\}$`}
}

func (s schema) structure(v reflect.Value) map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, k := range keysOf(v) {
		of := s.value(k.value)
		if doc := s.docs[fieldName(k.owner, k.field)]; doc != "" {
			of["description"] = doc
		}
		if k.required {
			required = append(required, k.name)
		}
		properties[k.name] = of
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// variants returns one alternative for every type of an entry. Only the default type may be left out.
func (s schema) variants(given variant) map[string]any {
	var alternatives []any
	for _, k := range given.kinds() {
		v := reflect.New(reflect.TypeOf(given).Elem())
		entry := v.Interface().(variant)
		entry.setSettings(k.make())
		of := s.structure(v.Elem())
		properties := of["properties"].(map[string]any)
		properties["type"] = map[string]any{"const": k.name, "description": properties["type"].(map[string]any)["description"]}
		if *given.kindName() != k.name {
			required, _ := of["required"].([]string)
			of["required"] = append(required, "type")
		}
		alternatives = append(alternatives, of)
	}
	return map[string]any{"oneOf": alternatives}
}

func (s schema) value(v reflect.Value) map[string]any {
	v = filled(v)
	t := v.Type()
	if given, ok := v.Addr().Interface().(variant); ok {
		return s.variants(given)
	}
	switch formOf(t) {
	case formStruct:
		return s.structure(v)
	case formMap:
		return map[string]any{"type": "object", "additionalProperties": s.value(reflect.New(t.Elem()).Elem())}
	case formList, formTexts:
		return map[string]any{"type": "array", "items": s.value(reflect.New(t.Elem()).Elem())}
	}
	out := s.scalar(t)
	if !v.IsZero() && !isSecret(t) {
		var given any
		if node, err := strict.ParseOne("", []byte(scalar(v, strict.Node{}, ""))); err == nil {
			given = node.Value()
		}
		out["default"] = given
	}
	return out
}

func (s schema) scalar(t reflect.Type) map[string]any {
	switch {
	case isDuration(t):
		return map[string]any{"type": "string", "pattern": `^(0|-?([0-9]+w)?([0-9]+d)?([0-9.]+(h|m|s|ms|us|µs|ns))*|.*\$\{.*)$`}
	case t == reflect.TypeFor[strict.Bytes]():
		return map[string]any{"type": []string{"string", "integer"}}
	case isText(t):
		return map[string]any{"type": []string{"string", "number", "boolean"}}
	}
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"anyOf": []any{map[string]any{"type": "boolean"}, reference()}}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"anyOf": []any{map[string]any{"type": "integer"}, reference()}}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"anyOf": []any{map[string]any{"type": "number"}, reference()}}
	}
	return map[string]any{"type": []string{"string", "number", "boolean"}}
}

// fieldName names a field of a struct in fields.tsv.
func fieldName(owner reflect.Type, field string) string {
	path := owner.PkgPath()
	return fmt.Sprintf("%s.%s.%s", path[strings.LastIndex(path, "edrwatch/")+len("edrwatch/"):], owner.Name(), field)
}
