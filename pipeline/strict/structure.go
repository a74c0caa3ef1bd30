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

func (d *decoding) structure(n Node, v reflect.Value) {
	if n.Kind() != Mapping && n.Kind() != Null {
		d.mismatch(n, "mapping", "")
		return
	}
	fields, rest := structFields(v.Type())
	byName := make(map[string]field, len(fields))
	for _, f := range fields {
		byName[f.name] = f
	}
	present := make(map[string]bool, len(fields))
	for _, e := range n.Entries() {
		name := e.Key.n.text
		f, known := byName[name]
		switch {
		case known:
			present[name] = true
			d.value(e.Value, v.FieldByIndex(f.index))
		case rest != nil:
			m := v.FieldByIndex(rest)
			if m.IsNil() {
				m.Set(reflect.MakeMap(m.Type()))
			}
			d.entry(e, m)
		default:
			d.report(e.Key, unknownHint(name, fields), "unknown key %s", shorten(name))
		}
	}
	for _, f := range fields {
		if f.required && !present[f.name] {
			d.report(n, "", "missing key %q", f.name)
		}
	}
}

// unknownHint names the nearest key, or all of them when they are few and none is near.
func unknownHint(name string, fields []field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	if nearest, ok := Nearest(name, names); ok {
		return fmt.Sprintf("did you mean %q?", nearest)
	}
	const few = 12
	if len(names) == 0 || len(names) > few {
		return ""
	}
	return "known keys: " + strings.Join(names, ", ")
}
