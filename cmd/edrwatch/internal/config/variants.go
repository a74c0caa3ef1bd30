package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// kind is a type of source, sink or dead letter with the settings that it takes.
type kind struct {
	name string
	make func() any // Returns a pointer to the component's Config with its defaults.
}

// variant is an entry whose keys depend on its type.
type variant interface {
	kinds() []kind
	kindName() *string
	settings() any
	setSettings(any)
}

func isVariant(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[variant]())
}

// decodeVariant decodes the keys that all types share into shared, a struct with the methods of entry but not its
// DecodeYAML, and the others into the settings of the entry's type.
func decodeVariant(n strict.Node, entry variant, shared any) error {
	if n.Kind() != strict.Mapping {
		return n.Errorf("expected mapping with keys such as type, found %s", n.Describe())
	}
	name := *entry.kindName()
	if typed := n.Get("type"); !typed.IsZero() {
		if err := typed.Decode(&name); err != nil {
			return err
		}
	}
	if name == "" {
		return problemWithHint(n.Problem("missing key %q", "type"), "one of "+strings.Join(kindNames(entry), ", "))
	}
	if name != *entry.kindName() || entry.settings() == nil {
		if err := chooseKind(n.Get("type"), entry, name); err != nil {
			return err
		}
	}
	if entry.settings() == nil {
		return n.Decode(shared)
	}
	return n.DecodeAll(shared, entry.settings())
}

// chooseKind gives an entry the default settings of its type.
func chooseKind(typed strict.Node, entry variant, name string) error {
	for _, k := range entry.kinds() {
		if k.name == name {
			entry.setSettings(k.make())
			return nil
		}
	}
	hint := "one of " + strings.Join(kindNames(entry), ", ")
	if nearest, ok := strict.Nearest(name, kindNames(entry)); ok {
		hint = fmt.Sprintf("did you mean %q?", nearest)
	}
	return problemWithHint(typed.Problem("unknown type, found %s", typed.Describe()), hint)
}

func kindNames(entry variant) []string {
	var names []string
	for _, k := range entry.kinds() {
		names = append(names, k.name)
	}
	slices.Sort(names)
	return names
}

func problemWithHint(p strict.Problem, hint string) error {
	p.Hint = hint
	return strict.NewError(p)
}
