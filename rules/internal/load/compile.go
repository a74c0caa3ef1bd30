package load

import (
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// Compile checks the conditions against the dictionary and compiles the set.
// All problems of all rules come back in one *strict.Error. Disabled and
// deprecated rules are checked and left out.
func (f *Files) Compile(dict *ecs.Dictionary) (*engine.Ruleset, error) {
	var compiled []*engine.Rule
	var warnings []strict.Problem
	problems := f.CheckDefinitions(dict)
	for i := range f.rules {
		src := &f.rules[i]
		rule, c := f.CompileRule(src, dict)
		found, warned := c.Found()
		problems = append(problems, found...)
		warnings = append(warnings, warned...)
		if h := src.Decl.Shared(); len(found) == 0 && h.Enabled && h.Maturity != "deprecated" {
			compiled = append(compiled, rule)
		}
	}
	if err := strict.NewError(unique(problems)...); err != nil {
		return nil, err
	}
	return engine.NewRuleset(dict, compiled, warnings), nil
}

// CompileRule compiles one rule. What is wrong with it stands in the compiler.
func (f *Files) CompileRule(src *Source, dict *ecs.Dictionary) (*engine.Rule, *engine.Compiler) {
	c := engine.NewCompiler(src.Node, dict, &f.defs)
	rule := c.Rule(src.File, src.Node, src.Decl)
	spec.CheckTests(&c.Checker, src.Decl.Shared(), dict)
	return rule, c
}

// unique leaves out repetitions: a mistake in a macro shows wherever it is used.
func unique(problems []strict.Problem) []strict.Problem {
	var list []strict.Problem
	for _, p := range problems {
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}
