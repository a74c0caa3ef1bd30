package config

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// key is one key of a mapping in the configuration with the struct field that it sets.
type key struct {
	name     string
	value    reflect.Value
	owner    reflect.Type // The struct with the field, for its documentation.
	field    string
	required bool
}

// keysOf returns the keys of a struct in order: its own fields, those of inlined structs, and for an entry whose keys
// depend on its type those of the settings that it holds.
func keysOf(v reflect.Value) []key {
	var keys []key
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-" || name == "" && options == "":
		case options == "inline" && f.Type.Kind() == reflect.Struct:
			keys = append(keys, keysOf(v.Field(i))...)
		case name != "":
			keys = append(keys, key{name, v.Field(i), t, f.Name, options == "required"})
		}
	}
	if typed, ok := v.Addr().Interface().(variant); ok {
		if settings := typed.settings(); settings != nil {
			keys = append(keys, keysOf(reflect.ValueOf(settings).Elem())...)
		}
	}
	return keys
}

// form says how a value is written.
type form uint8

const (
	formScalar form = iota
	formTexts       // A list of scalars.
	formList        // A list of mappings.
	formMap         // A mapping with keys of the user's choice.
	formStruct      // A mapping with known keys.
)

func formOf(t reflect.Type) form {
	if t.Kind() == reflect.Pointer {
		return formOf(t.Elem())
	}
	if isVariant(t) {
		return formStruct
	}
	if isText(t) {
		return formScalar
	}
	switch t.Kind() {
	case reflect.Struct:
		return formStruct
	case reflect.Map:
		return formMap
	case reflect.Slice:
		if formOf(t.Elem()) == formScalar {
			return formTexts
		}
		return formList
	}
	return formScalar
}

// isText reports whether values of the type are written as one scalar although they may be structs.
func isText(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return t == reflect.TypeFor[strict.Text]() || t == reflect.TypeFor[strict.Node]() ||
		p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) || p.Implements(reflect.TypeFor[strict.Decoder]())
}

func isSecret(t reflect.Type) bool { return t == reflect.TypeFor[secret.String]() }

func isDuration(t reflect.Type) bool { return t == reflect.TypeFor[time.Duration]() }

// filled follows a pointer, to a new value when it is nil.
func filled(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v = reflect.New(v.Type().Elem())
		}
		v = v.Elem()
	}
	if v.CanAddr() {
		return v
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}
