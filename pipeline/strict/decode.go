package strict

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// Decoder is implemented by types that read themselves from a node, such as a value that is either one text or a list.
// An error that is not an *Error gets the position of the node.
type Decoder interface {
	DecodeYAML(Node) error
}

// Decode stores the node in the value that out points to and returns an *Error with everything that does not fit.
//
// Keys of a mapping go to the fields of a struct that carry the tag `yaml:"name"`; a field without the tag is not
// readable from a file. `yaml:"name,required"` makes a missing key an error. `yaml:",inline"` takes the keys of an inner
// struct as own keys, or collects all unknown keys in a map. Keys that are absent leave their fields unchanged, so fill
// in the defaults before decoding; a list that is present replaces what was there, a map adds its entries.
//
// Besides the basic types out may hold time.Duration ("10s", "1d"), Text, Node (kept undecoded), pointers, slices, maps
// with scalar keys, any, Decoder and encoding.TextUnmarshaler. A string field accepts an unquoted number or boolean and
// gets it as written. An empty value (key without value) means the empty list, map, struct or pointer.
func (n Node) Decode(out any) error {
	v := reflect.ValueOf(out)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("decoding YAML: expected a pointer that is not nil, got %T", out)
	}
	if n.IsZero() {
		return errors.New("decoding YAML: the node is absent")
	}
	var d decoding
	d.value(n, v.Elem())
	return NewError(d.problems...)
}

// DecodeAll stores a mapping in several structs at once, each of which takes its own keys. A key that none of them knows
// is an error. It serves mappings whose keys depend on one of them, such as "type". Where two share a key both get it.
func (n Node) DecodeAll(outs ...any) error {
	var d decoding
	targets := make([]reflect.Value, len(outs))
	for i, out := range outs {
		v := reflect.ValueOf(out)
		if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
			return fmt.Errorf("decoding YAML: expected a pointer to a struct, got %T", out)
		}
		targets[i] = v.Elem()
	}
	if n.IsZero() {
		return errors.New("decoding YAML: the node is absent")
	}
	d.structure(n, targets...)
	return NewError(d.problems...)
}

// decoding collects the problems of one call of Decode.
type decoding struct{ problems []Problem }

func (d *decoding) report(n Node, hint, format string, args ...any) {
	p := n.Problem(format, args...)
	p.Hint = hint
	d.problems = append(d.problems, p)
}

func (d *decoding) mismatch(n Node, expected, hint string) {
	d.report(n, hint, "expected %s, found %s", expected, n.Describe())
}

// add takes over an error from a type's own method.
func (d *decoding) add(n Node, err error) {
	var known *Error
	switch {
	case err == nil:
	case errors.As(err, &known):
		d.problems = append(d.problems, known.Problems...)
	case n.n.derived:
		// The message may quote the text, which came from outside of the file and may be a secret.
		d.report(n, "", "the value does not fit, found %s", n.Describe())
	default:
		d.report(n, "", "%s", err)
	}
}

func (d *decoding) value(n Node, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		d.pointer(n, v)
		return
	}
	switch target := v.Addr().Interface().(type) {
	case *Node:
		*target = n
	case *Text:
		if _, ok := n.Scalar(); !ok {
			d.mismatch(n, "string", "")
			return
		}
		*target = n.Text()
	case *time.Duration:
		d.duration(n, target)
	case Decoder:
		d.add(n, target.DecodeYAML(n))
	case encoding.TextUnmarshaler:
		if file, ok := target.(interface{ UnmarshalFile(string) error }); ok && n.n.path != "" {
			if err := file.UnmarshalFile(n.n.path); err != nil {
				d.report(n, "", "%s", err)
			}
			return
		}
		text, ok := n.Scalar()
		if !ok {
			d.mismatch(n, "a single value", "")
			return
		}
		d.add(n, target.UnmarshalText([]byte(text)))
	default:
		d.plainValue(n, v)
	}
}

func (d *decoding) pointer(n Node, v reflect.Value) {
	if n.Kind() == Null {
		v.SetZero()
		return
	}
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
	d.value(n, v.Elem())
}

func (d *decoding) duration(n Node, target *time.Duration) {
	const expected = "duration such as 10s, 5m or 1d"
	text, ok := n.Scalar()
	if !ok {
		d.mismatch(n, expected, "")
		return
	}
	parsed, err := ParseDuration(text)
	if err == nil {
		*target = parsed
		return
	}
	hint := ""
	if n.Kind() == Int && !n.n.derived {
		hint = fmt.Sprintf("add a unit: %ss", text)
	}
	d.mismatch(n, expected, hint)
}

func (d *decoding) plainValue(n Node, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v)
	case reflect.Map:
		d.mapping(n, v)
	case reflect.Slice:
		d.list(n, v)
	case reflect.Interface:
		if v.NumMethod() > 0 {
			d.report(n, "", "cannot be decoded into %s", v.Type())
			return
		}
		if value := n.Value(); value != nil {
			v.Set(reflect.ValueOf(value))
		} else {
			v.SetZero()
		}
	default:
		d.scalar(n, v)
	}
}

func (d *decoding) scalar(n Node, v reflect.Value) {
	text, isScalar := n.Scalar()
	// Text from outside of the file has no type of its own: what it looks like decides.
	kind := n.Kind()
	if isScalar && n.n.derived {
		kind = resolve(text)
	}
	switch v.Kind() {
	case reflect.String:
		if !isScalar {
			d.mismatch(n, "string", "")
			return
		}
		v.SetString(text)
	case reflect.Bool:
		if kind != Bool {
			d.mismatch(n, "true or false", "")
			return
		}
		v.SetBool(parseBool(text))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, ok := parseInteger(text, v.Type().Bits())
		switch {
		case kind != Int:
			d.mismatch(n, "integer", unquoteHint(n, Int))
		case !ok:
			d.mismatch(n, fmt.Sprintf("integer that fits %d bits", v.Type().Bits()), "")
		default:
			v.SetInt(i)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, ok := parseUnsigned(text, v.Type().Bits())
		switch {
		case kind != Int:
			d.mismatch(n, "integer", unquoteHint(n, Int))
		case !ok:
			d.mismatch(n, fmt.Sprintf("integer from 0 that fits %d bits", v.Type().Bits()), "")
		default:
			v.SetUint(u)
		}
	case reflect.Float32, reflect.Float64:
		f, ok := parseFloat(text, v.Type().Bits())
		if kind != Int && kind != Float || !ok {
			d.mismatch(n, "number", unquoteHint(n, Float))
			return
		}
		v.SetFloat(f)
	default:
		d.report(n, "", "cannot be decoded into %s", v.Type())
	}
}

// unquoteHint helps with numbers in quotes.
func unquoteHint(n Node, want Kind) string {
	if !n.Quoted() {
		return ""
	}
	if found := resolve(n.n.text); found == want || found == Int {
		return "remove the quotes"
	}
	return ""
}

func (d *decoding) list(n Node, v reflect.Value) {
	switch n.Kind() {
	case Null:
		v.SetZero()
		return
	case List:
	default:
		d.mismatch(n, "list", "write one element a line, each after \"- \"")
		return
	}
	items := n.Items()
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		d.value(item, out.Index(i))
	}
	v.Set(out)
}

func (d *decoding) mapping(n Node, v reflect.Value) {
	switch n.Kind() {
	case Null:
		v.SetZero()
		return
	case Mapping:
	default:
		d.mismatch(n, "mapping", "")
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), v.Len()+len(n.Entries()))
	for entries := v.MapRange(); entries.Next(); { // A new map, because the defaults may be shared.
		out.SetMapIndex(entries.Key(), entries.Value())
	}
	for _, e := range n.Entries() {
		d.entry(e, out)
	}
	v.Set(out)
}

func (d *decoding) entry(e Entry, m reflect.Value) {
	key := reflect.New(m.Type().Key()).Elem()
	d.value(e.Key, key)
	value := reflect.New(m.Type().Elem()).Elem()
	d.value(e.Value, value)
	m.SetMapIndex(key, value)
}

// Value returns the node as plain Go values: nil, bool, int, uint64 (beyond int), float64, string, []any, map[string]any.
func (n Node) Value() any {
	switch n.Kind() {
	case Bool:
		return parseBool(n.n.text)
	case Int:
		if i, ok := parseInteger(n.n.text, 64); ok {
			return int(i)
		}
		if u, ok := parseUnsigned(n.n.text, 64); ok {
			return u
		}
		f, _ := parseFloat(n.n.text, 64) // Beyond 64 bits: as near as a float can come.
		return f
	case Float:
		f, _ := parseFloat(n.n.text, 64)
		return f
	case String:
		return n.n.text
	case List:
		out := make([]any, len(n.n.items))
		for i, item := range n.n.items {
			out[i] = item.Value()
		}
		return out
	case Mapping:
		out := make(map[string]any, len(n.n.entries))
		for _, e := range n.n.entries {
			out[e.Key.n.text] = e.Value.Value()
		}
		return out
	default:
		return nil
	}
}
