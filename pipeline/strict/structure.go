package strict

import (
	"fmt"
	"reflect"
	"strings"
)

// field is a field of a struct that a key of a file sets.
type field struct {
	name     string
	index    []int
	required bool
}

// structFields returns the fields of a struct with those of its inlined structs, and the index of an inlined map that
// takes unknown keys (nil when there is none). It panics when two fields share a name, which is an error in the program.
func structFields(t reflect.Type) (fields []field, rest []int) {
	seen := map[string]bool{}
	var collect func(t reflect.Type, prefix []int)
	collect = func(t reflect.Type, prefix []int) {
		for i := range t.NumField() {
			f := t.Field(i)
			tag, tagged := f.Tag.Lookup("yaml")
			name, options, _ := strings.Cut(tag, ",")
			if !tagged || tag == "-" || !f.IsExported() && !f.Anonymous {
				continue
			}
			index := append(append([]int(nil), prefix...), i)
			switch {
			case options == "inline" && f.Type.Kind() == reflect.Struct:
				collect(f.Type, index)
			case options == "inline" && f.Type.Kind() == reflect.Map:
				rest = index
			case name == "" || seen[name]:
				panic(fmt.Sprintf("strict: field %s.%s has no YAML name of its own: %q", t, f.Name, tag))
			default:
				seen[name] = true
				fields = append(fields, field{name: name, index: index, required: options == "required"})
			}
		}
	}
	collect(t, nil)
	return fields, rest
}

// structure decodes a mapping into one struct, or into several of which each takes its own keys.
func (d *decoding) structure(n Node, targets ...reflect.Value) {
	if n.Kind() != Mapping && n.Kind() != Null {
		d.mismatch(n, "mapping", "")
		return
	}
	var all []field
	byName := map[string][]reflect.Value{}
	var rest reflect.Value
	for _, v := range targets {
		fields, restIndex := structFields(v.Type())
		for _, f := range fields {
			byName[f.name] = append(byName[f.name], v.FieldByIndex(f.index))
		}
		all = append(all, fields...)
		if restIndex != nil {
			rest = v.FieldByIndex(restIndex)
		}
	}
	present := make(map[string]bool, len(all))
	for _, e := range n.Entries() {
		name := e.Key.n.text
		present[name] = true
		for _, v := range byName[name] {
			d.value(e.Value, v)
		}
		switch {
		case len(byName[name]) > 0:
		case rest.IsValid():
			if rest.IsNil() {
				rest.Set(reflect.MakeMap(rest.Type()))
			}
			d.entry(e, rest)
		default:
			d.report(e.Key, unknownHint(name, all), "unknown key %s", shorten(name))
			if meant, ok := nearestKey(name, all); ok {
				present[meant] = true // It is not missing: it is misspelt.
			}
		}
	}
	for _, f := range all {
		if f.required && !present[f.name] {
			d.report(n, "", "missing key %q", f.name)
		}
	}
}

// unknownHint names the nearest key, or all of them when they are few and none is near.
func unknownHint(name string, fields []field) string {
	names := namesOf(fields)
	if nearest, ok := Nearest(name, names); ok {
		return fmt.Sprintf("did you mean %q?", nearest)
	}
	const few = 12
	if len(names) == 0 || len(names) > few {
		return ""
	}
	return "known keys: " + strings.Join(names, ", ")
}

func namesOf(fields []field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}

// nearestKey is the key that a misspelt one stands for.
func nearestKey(name string, fields []field) (string, bool) { return Nearest(name, namesOf(fields)) }
