package ecs

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// ID identifies a field of a dictionary. The identifiers of the dictionary's
// own names are the constants of this package; names that a user adds follow.
type ID uint16

// Kind is how an event holds a field's value.
type Kind uint8

// The kinds of values. Several Elasticsearch types share one kind.
const (
	None   Kind = iota
	String      // keyword, text, wildcard, ip and their like
	Int         // long, integer, short, byte
	Float       // float, double, scaled_float
	Bool        // boolean
	Time        // date: nanoseconds since 1970 in UTC
	JSON        // object, flattened, nested, geo_point: a JSON fragment
)

// String returns the name that rule and mapping authors see.
func (k Kind) String() string {
	return [...]string{"none", "string", "integer", "number", "boolean", "time", "object"}[k]
}

// Field is one name of the dictionary.
type Field struct {
	Name    string // dotted, as in ECS
	Type    string // Elasticsearch field type
	Kind    Kind   // how an event holds it
	Array   bool   // holds a list: ECS "normalize: array"
	Meaning string // one sentence
	Custom  bool   // added by a user's file
}

// Dictionary knows every field. It is immutable after [New]: safe for
// concurrent use.
type Dictionary struct {
	fields []Field
	byName map[string]ID
	layout Layout
}

var (
	//go:embed ecs_fields.tsv
	ecsTable string
	//go:embed edr_fields.tsv
	edrTable string
)

// New returns the dictionary of ECS and our own fields, extended by the given
// ones. An extension that repeats a name with the same type is accepted once;
// one that changes a type, or that makes a leaf out of an object, is an error.
func New(custom ...Field) (*Dictionary, error) {
	const expected = 3072
	d := &Dictionary{
		fields: make([]Field, 0, expected+len(custom)),
		byName: make(map[string]ID, expected+len(custom)),
	}
	for _, table := range []string{ecsTable, edrTable} {
		if err := d.addTable(table); err != nil {
			return nil, err
		}
	}
	for _, f := range custom {
		f.Custom = true
		if err := d.add(f); err != nil {
			return nil, err
		}
	}
	var err error
	d.layout, err = newLayout(d.fields)
	return d, err
}

// addTable reads one embedded table. The strings of the fields are slices of
// the table, so the names cost no memory of their own.
func (d *Dictionary) addTable(table string) error {
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, _ := strings.Cut(line, "\t")
		typ, rest, _ := strings.Cut(rest, "\t")
		array, meaning, _ := strings.Cut(rest, "\t")
		if err := d.add(Field{Name: name, Type: typ, Array: array == "array", Meaning: meaning}); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dictionary) add(f Field) error {
	kind, ok := KindOf(f.Type)
	if !ok {
		return fmt.Errorf("field %s: unknown type %q", f.Name, f.Type)
	}
	f.Kind = kind
	if !validName(f.Name) {
		return fmt.Errorf("field %q: expected dot-separated names of letters, digits, '_', '-' and '@'", f.Name)
	}
	if id, dup := d.byName[f.Name]; dup {
		have := d.fields[id]
		if have.Type == f.Type && have.Array == f.Array {
			return nil
		}
		return fmt.Errorf("field %s: is %s already, cannot become %s", f.Name, have.Type, f.Type)
	}
	if len(d.fields) >= 1<<16-1 {
		return fmt.Errorf("field %s: more than %d fields", f.Name, 1<<16-2)
	}
	d.byName[f.Name] = ID(len(d.fields))
	d.fields = append(d.fields, f)
	return nil
}

func validName(name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		if part == "" {
			return false
		}
		for _, c := range []byte(part) {
			letter := c|0x20 >= 'a' && c|0x20 <= 'z'
			if !letter && (c < '0' || c > '9') && c != '_' && c != '-' && c != '@' {
				return false
			}
		}
	}
	return true
}

// KindOf tells how a value of an Elasticsearch field type is held.
func KindOf(typ string) (Kind, bool) {
	switch typ {
	case "keyword", "text", "wildcard", "constant_keyword", "match_only_text", "ip", "version":
		return String, true
	case "long", "integer", "short", "byte", "unsigned_long":
		return Int, true
	case "float", "double", "half_float", "scaled_float":
		return Float, true
	case "boolean":
		return Bool, true
	case "date", "date_nanos":
		return Time, true
	case "object", "flattened", "nested", "geo_point":
		return JSON, true
	}
	return None, false
}

// Lookup finds a field by its dotted name.
func (d *Dictionary) Lookup(name string) (ID, bool) {
	id, ok := d.byName[name]
	return id, ok
}

// Field returns the description of a field of this dictionary.
func (d *Dictionary) Field(id ID) *Field { return &d.fields[id] }

// Len is the number of fields; identifiers run from 0 to Len-1.
func (d *Dictionary) Len() int { return len(d.fields) }

// Layout is the order and nesting in which documents are written.
func (d *Dictionary) Layout() *Layout { return &d.layout }

// Names returns all names in alphabetical order.
func (d *Dictionary) Names() []string {
	names := make([]string, 0, len(d.fields))
	for i := range d.fields {
		names = append(names, d.fields[i].Name)
	}
	slices.Sort(names)
	return names
}

// IsObject reports whether name is a level above fields, such as "host.os",
// and holds no value itself.
func (d *Dictionary) IsObject(name string) bool {
	_, ok := d.layout.objects[name]
	return ok
}
