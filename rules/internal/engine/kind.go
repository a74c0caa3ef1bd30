package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// Declaration is a rule of a certain type as its file declares it.
type Declaration interface {
	// Shared are the keys that rules of every kind have.
	Shared() *spec.Header
	// Check reports what can be seen without a dictionary.
	Check(c *spec.Checker)
	// Compile compiles the conditions. What it returns is immutable.
	Compile(c *Compiler) Plan
}

// Kind is one type of rule.
type Kind struct {
	Name     string              // The value of type.
	Meaning  string              // It alerts when …, for tables and editors.
	New      func() Declaration  // An empty declaration with its defaults.
	Keys     map[string]string   // What its own keys mean, for editors; by name.
	Words    map[string][]string // The values of its own keys that take one of a few words; by name.
	Scaffold string              // Its own keys and two tests, from which a new rule begins.
}

// KindNames are the names of kinds in alphabetical order.
func KindNames(kinds []Kind) []string {
	var names []string
	for i := range kinds {
		names = append(names, kinds[i].Name)
	}
	slices.Sort(names)
	return names
}

// FindKind returns the kind of a name, else nil and a hint that suggests one.
func FindKind(kinds []Kind, name string) (kind *Kind, hint string) {
	for i := range kinds {
		if kinds[i].Name == name {
			return &kinds[i], ""
		}
	}
	names := KindNames(kinds)
	hint = "there are " + strings.Join(names, ", ")
	if near, ok := strict.Nearest(name, names); ok {
		hint = fmt.Sprintf("did you mean %q? There are %s", near, strings.Join(names, ", "))
	}
	return nil, hint
}
