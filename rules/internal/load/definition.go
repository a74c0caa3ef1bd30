package load

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// A document of a rule file may define a list or a macro in place of a rule,
// as in Falco. Conditions of all files use it by name.

// ListDefinition is a document that names a list of words.
type ListDefinition struct {
	List  string   `yaml:"list,required"`
	Items []string `yaml:"items,required"`
}

// MacroDefinition is a document that names a condition.
type MacroDefinition struct {
	Macro     string      `yaml:"macro,required"`
	Condition strict.Text `yaml:"condition,required"`
}

func isDefinition(n strict.Node) bool { return !n.Get("list").IsZero() || !n.Get("macro").IsZero() }

// define takes a list or a macro in.
func (f *Files) define(n strict.Node) error {
	if f.named == nil {
		f.named = map[string]strict.Node{}
		f.defs = expression.Definitions{Lists: map[string][]string{}, Macros: map[string]strict.Text{}}
	}
	var name string
	if n.Get("macro").IsZero() {
		var d ListDefinition
		if err := n.Decode(&d); err != nil {
			return err
		}
		if len(d.Items) == 0 {
			return n.Errorf("list %s is empty", d.List)
		}
		name = d.List
		f.defs.Lists[name] = d.Items
	} else {
		var d MacroDefinition
		if err := n.Decode(&d); err != nil {
			return err
		}
		name = d.Macro
		f.defs.Macros[name] = d.Condition
	}
	if !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(name) {
		return n.Errorf("%q is not a name for a list or macro: expected lower-case letters, digits and _", name)
	}
	if first, taken := f.named[name]; taken {
		line, _ := first.Position()
		return n.Errorf("%q is already defined at %s:%d", name, first.File(), line)
	}
	f.named[name] = n
	return nil
}

// CheckDefinitions reports macros that do not compile, used or not, and names
// that hide a field.
func (f *Files) CheckDefinitions(dict *ecs.Dictionary) []strict.Problem {
	var problems []strict.Problem
	for _, name := range slices.Sorted(maps.Keys(f.named)) {
		if _, isField := dict.Lookup(name); isField || dict.IsObject(name) {
			problems = append(problems, f.named[name].Problem("%s", fmt.Sprintf("%q is the name of a field", name)))
		}
		if text, isMacro := f.defs.Macros[name]; isMacro {
			_, found, _ := expression.CompileWith(text, dict, &f.defs)
			problems = append(problems, found...)
		}
	}
	return problems
}
