// Package schema describes the YAML files that package strict decodes as JSON
// Schema (draft 2020-12, https://json-schema.org/draft/2020-12), for editors.
// It reads the same struct tags as the decoder, so that both know the same keys.
package schema

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Draft is the value of $schema.
const Draft = "https://json-schema.org/draft/2020-12/schema"

// Object is a JSON Schema or a part of it.
type Object = map[string]any

// Generator makes schemas of structs.
type Generator struct {
	// Values describes types that read themselves, which otherwise may be
	// anything.
	Values map[reflect.Type]Object
	// Keys describes keys further by their name: its members are added to, and
	// win over, those of every key of that name.
	Keys map[string]Object
}

// Struct returns the schema of a struct: its keys, those that are required,
// and no others. What the struct holds is the default of its keys.
func (g *Generator) Struct(v reflect.Value) Object {
	return g.structure(v, nil)
}

func (g *Generator) structure(v reflect.Value, above []reflect.Type) Object {
	properties, required := Object{}, []string{}
	g.keys(v, properties, &required, append(above, v.Type()))
	out := Object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func (g *Generator) keys(v reflect.Value, properties Object, required *[]string, above []reflect.Type) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case option == "inline":
			g.keys(v.Field(i), properties, required, above)
		case name == "" || name == "-":
		default:
			of := Object{}
			for k, value := range g.of(v.Field(i), above) {
				of[k] = value
			}
			for k, value := range g.Keys[name] {
				of[k] = value
			}
			properties[name] = of
			if option == "required" {
				*required = append(*required, name)
			}
		}
	}
}

// of describes a value.
func (g *Generator) of(v reflect.Value, above []reflect.Type) Object {
	t := v.Type()
	if known, ok := g.Values[t]; ok {
		return known
	}
	switch {
	case t.Kind() == reflect.Pointer:
		return g.of(reflect.New(t.Elem()).Elem(), above)
	case t == reflect.TypeFor[strict.Node]():
		return Object{}
	case t == reflect.TypeFor[strict.Text]():
		return Text()
	case t == reflect.TypeFor[time.Duration]():
		out := Duration()
		if !v.IsZero() {
			out["default"] = strict.FormatDuration(time.Duration(v.Int()))
		}
		return out
	case reflect.PointerTo(t).Implements(reflect.TypeFor[strict.Decoder]()),
		reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return Object{}
	}
	switch t.Kind() {
	case reflect.Struct:
		for _, outer := range above {
			if outer == t {
				return Object{"type": "object"} // It holds itself.
			}
		}
		return g.structure(v, above)
	case reflect.Slice:
		return Object{"type": []string{"array", "null"}, "items": g.of(reflect.New(t.Elem()).Elem(), above)}
	case reflect.Map:
		return Object{"type": []string{"object", "null"}, "additionalProperties": g.of(reflect.New(t.Elem()).Elem(), above)}
	}
	out := scalar(t)
	if !v.IsZero() {
		out["default"] = v.Interface()
	}
	return out
}

func scalar(t reflect.Type) Object {
	switch t.Kind() {
	case reflect.Bool:
		return Object{"type": "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return Object{"type": "integer"}
	case reflect.Float32, reflect.Float64:
		return Object{"type": "number"}
	}
	return Text()
}

// Text describes a string, which may be written without quotes even if it looks
// like a number.
func Text() Object { return Object{"type": []string{"string", "number", "boolean"}} }

// Duration describes a time such as 90s, 5m or 1d.
func Duration() Object {
	return Object{"type": "string", "pattern": `^\+?(0|([0-9.]+(w|d|h|m|s|ms|us|µs|ns))+)$`}
}

// ListOf describes a list, or one of its elements by itself.
func ListOf(element Object) Object {
	return Object{"anyOf": []any{element, Object{"type": "array", "items": element}}}
}
