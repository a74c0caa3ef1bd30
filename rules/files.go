package rules

import (
	"io/fs"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/rules/author"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/load"
	"github.com/edrwatch/edrwatch/rules/ruletest"
)

// Types are the types of rules.
func Types() []string { return engine.KindNames(Kinds()) }

// Parse reads every .yml and .yaml file of the given trees, in alphabetical
// order. A file may hold several rules as YAML documents. All problems of all
// files come back in one *strict.Error. Two rules must not share an id or a
// name.
func Parse(trees ...fs.FS) (*Files, error) {
	list := make([]Tree, len(trees))
	for i, tree := range trees {
		list[i] = Tree{FS: tree}
	}
	return ParseTrees(list...)
}

// ParseTrees is Parse for directories that have names.
func ParseTrees(trees ...Tree) (*Files, error) {
	files, err := load.Read(Kinds(), trees)
	if err != nil {
		return nil, err
	}
	return files, nil
}

// ParseFile reads the rules of one file.
func ParseFile(name string, src []byte) (*Files, error) { return load.ReadFile(Kinds(), name, src) }

// Lint reads and compiles the rule files of the trees and returns everything
// that is wrong with them in the order of files and lines, with the number of
// rules that were read. Unlike Parse and Compile it goes on after errors. The
// rules of a file that does not load are missing from the findings about
// others, such as that a macro of it does not exist.
func Lint(dict *ecs.Dictionary, now time.Time, trees ...Tree) (list []Finding, rules int) {
	return author.Lint(Kinds(), dict, now, trees)
}

// RunTests runs the tests in the rule files with the engine that runs in
// production, each rule by itself, disabled ones included. Every test runs
// twice, which must give the same documents.
func RunTests(files *Files, dict *ecs.Dictionary, o TestOptions) (Report, error) {
	return ruletest.Run(files, dict, o)
}

// Scaffold returns the beginning of a rule file of a type: it loads, and its
// tests pass. It returns an error for a type that does not exist.
func Scaffold(typ, name, id string) ([]byte, error) { return author.Scaffold(Kinds(), typ, name, id) }

// Schema returns the JSON Schema of a document of a rule file, for editors:
// a rule of one of the types, a list, or a macro.
func Schema() ([]byte, error) { return author.Schema(Kinds()) }
