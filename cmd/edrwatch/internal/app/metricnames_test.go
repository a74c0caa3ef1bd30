package app

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestEveryMetricIsRegisteredByEverything finds the names of metrics in the
// sources and in the README: one that is made only under a condition that no test
// meets would have no row. Names that are put together in other ways are not found
// here; the table of what is registered has those.
func TestEveryMetricIsRegisteredByEverything(t *testing.T) {
	const root = "../../../.."
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testbed" || strings.HasPrefix(d.Name(), ".") && path != root):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			name, ok := metricName(literal)
			if !ok {
				return true
			}
			found++
			if !strings.Contains(string(readme), "| `"+name+"` |") {
				t.Errorf("%s makes the metric %s, which has no row in the README", path, name)
			}
			return true
		})
		return nil
	})
	if err != nil || found < 20 {
		t.Errorf("%d metrics were found, %v", found, err)
	}
}

// metricName returns the full name that the options of a metric give it, if they
// do so in words.
func metricName(literal *ast.CompositeLit) (string, bool) {
	kind, ok := literal.Type.(*ast.SelectorExpr)
	if !ok || !strings.HasSuffix(kind.Sel.Name, "Opts") {
		return "", false
	}
	if pkg, ok := kind.X.(*ast.Ident); !ok || pkg.Name != "prometheus" {
		return "", false
	}
	parts := map[string]string{}
	for _, element := range literal.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			return "", false
		}
		key, ok := pair.Key.(*ast.Ident)
		if !ok || key.Name != "Namespace" && key.Name != "Subsystem" && key.Name != "Name" {
			continue
		}
		value, ok := pair.Value.(*ast.BasicLit)
		if !ok {
			return "", false
		}
		text, err := strconv.Unquote(value.Value)
		if err != nil {
			return "", false
		}
		parts[key.Name] = text
	}
	name := parts["Name"]
	for _, part := range []string{"Subsystem", "Namespace"} {
		if parts[part] != "" {
			name = parts[part] + "_" + name
		}
	}
	return name, name != ""
}
