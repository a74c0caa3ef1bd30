package rules

import (
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Compile checks the conditions against the dictionary and compiles the set.
// All problems of all rules come back in one *strict.Error. Disabled and
// deprecated rules are checked and left out.
func (f *Files) Compile(dict *ecs.Dictionary) (*Ruleset, error) {
	var compiled []*Rule
	var warnings []strict.Problem
	problems := f.checkDefinitions(dict)
	for i := range f.rules {
		src := &f.rules[i]
		rule, c := f.compile(src, dict)
		found, warned := c.found()
		problems = append(problems, found...)
		warnings = append(warnings, warned...)
		if h := src.decl.header(); len(found) == 0 && h.Enabled && h.Maturity != "deprecated" {
			compiled = append(compiled, rule)
		}
	}
	if err := strict.NewError(unique(problems)...); err != nil {
		return nil, err
	}
	return newRuleset(dict, compiled, warnings), nil
}

// compile compiles one rule. What is wrong with it stands in the compiler.
func (f *Files) compile(src *source, dict *ecs.Dictionary) (*Rule, *compiler) {
	c := newCompiler(src.node, dict, &f.defs)
	rule := c.rule(src.file, src.node, src.decl)
	checkTests(&c.checker, src.decl.header(), dict)
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
