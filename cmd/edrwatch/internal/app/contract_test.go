package app

import (
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
)

const module = "github.com/edrwatch/edrwatch/"

// suites are the contracts by list. A dead letter is no component of its own: its
// package is that of a sink, with tests of what it keeps.
func suites() map[string]string {
	return map[string]string{"sources": "sourcetest.Run", "sinks": "sinktest.Run", "responders": "respondtest.Run", "dead_letter": ""}
}

// TestEveryComponentIsUnderContract walks the types that the configuration knows:
// the package of each runs the suite of its list in tests that need no server.
// Where several types of a list share a package, each has a run that names it.
func TestEveryComponentIsUnderContract(t *testing.T) {
	type place struct{ list, pkg string }
	byPackage := map[place][]string{}
	for _, c := range config.Components() {
		pkg := strings.TrimPrefix(reflect.TypeOf(c.New()).Elem().PkgPath(), module)
		byPackage[place{c.List, pkg}] = append(byPackage[place{c.List, pkg}], c.Type)
	}
	if len(byPackage) < 8 {
		t.Fatalf("only %d packages of components are known", len(byPackage))
	}
	for at, types := range byPackage {
		suite, ok := suites()[at.list]
		if !ok {
			t.Errorf("%s have no contract", at.list)
		}
		if suite == "" {
			continue
		}
		runs := runsOf(t, filepath.Join("../../../..", filepath.FromSlash(at.pkg)), suite)
		named := suite == "respondtest.Run" || len(types) > 1
		for _, name := range types {
			if len(runs) == 0 || named && !slices.Contains(runs, name) {
				t.Errorf("%s: no test of %s calls %s for the type %s of the %s", at.pkg, at.pkg, suite, name, at.list)
			}
		}
	}
}

// runsOf returns, for every call of a suite in the tests of a directory that have
// no build tag, the name that stands in it ("" without one).
func runsOf(t *testing.T, dir, suite string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var runs []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(parsed.Comments, func(c *ast.CommentGroup) bool { return constraint.IsGoBuild(c.List[0].Text) }) {
			continue
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			function, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := function.X.(*ast.Ident); !ok || pkg.Name+"."+function.Sel.Name != suite {
				return true
			}
			name := ""
			for _, arg := range call.Args {
				if text, ok := arg.(*ast.BasicLit); ok && text.Kind == token.STRING {
					name = strings.Trim(text.Value, `"`)
				}
			}
			runs = append(runs, name)
			return true
		})
	}
	return runs
}

// TestEveryComponentCanBeBuilt holds the table of types against what the builder
// knows: it may find a default incomplete, but not the type unknown.
func TestEveryComponentCanBeBuilt(t *testing.T) {
	a := newEverything(t)
	t.Chdir(t.TempDir()) // Defaults lie beside the process.
	b := a.builder()
	b.reg = nil
	for _, c := range config.Components() {
		var made any
		var err error
		switch c.List {
		case "sources":
			made, err = b.source(config.Source{Name: "x", Type: c.Type, Settings: c.New()})
		case "sinks":
			made, err = b.sink(config.Sink{Name: "x", Type: c.Type, Settings: c.New()})
		case "responders":
			made, err = b.responder(config.Responder{Name: "x", Type: c.Type, Settings: c.New()})
		case "dead_letter":
			made, err = b.deadLetter(config.DeadLetter{Type: c.Type, Settings: c.New()})
		}
		if err != nil && strings.Contains(err.Error(), "cannot be built") {
			t.Error(err)
		}
		if closer, ok := made.(interface{ Close() error }); ok && err == nil {
			if err := closer.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestEverythingIsEverything holds that the configuration from which the README's
// metrics are taken has every type, and everything switched on that can be.
func TestEverythingIsEverything(t *testing.T) {
	a := newEverything(t)
	have := map[string]bool{"dead_letter " + a.cfg.DeadLetter.Type: true, "dead_letter kafka": true} // It has one, and kafka registers nothing.
	for _, s := range a.cfg.Sources {
		have["sources "+s.Type] = true
	}
	for _, s := range a.cfg.Sinks {
		have["sinks "+s.Type] = true
	}
	for _, r := range a.cfg.Responders {
		have["responders "+r.Type] = true
	}
	for _, c := range config.Components() {
		if !have[c.List+" "+c.Type] {
			t.Errorf("everything lacks %s of type %s: its metrics would have no row in the README", c.List, c.Type)
		}
	}
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		if v.Kind() != reflect.Struct {
			return
		}
		if v.CanAddr() {
			if section, ok := v.Addr().Interface().(interface{ Enabled() bool }); ok && !section.Enabled() {
				t.Errorf("everything has %s switched off: its metrics would have no row in the README", path)
			}
		}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Name == "Enabled" && !v.Field(i).Bool() && path != "Responses" {
				t.Errorf("everything has %s switched off: its metrics would have no row in the README", path)
			}
			if f.IsExported() && f.Name != "TLS" { // Which measures nothing.
				walk(v.Field(i), strings.TrimPrefix(path+"."+f.Name, "."))
			}
		}
	}
	walk(reflect.ValueOf(&a.cfg).Elem(), "")
}
