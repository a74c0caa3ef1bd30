package kinds

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestKindsDoNotUseEachOther demands that a kind's files use what they declare
// and what the shared files do, never another kind's: a kind can be read, and
// taken away, by itself.
func TestKindsDoNotUseEachOther(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	files := map[string]*ast.File{}
	var kinds []string
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = f
		if declaresKind(f) {
			kinds = append(kinds, strings.TrimSuffix(name, ".go"))
		}
	}
	if len(kinds) < 11 {
		t.Fatalf("only %d files declare a kind", len(kinds))
	}
	kindOf := func(name string) string {
		name = strings.TrimSuffix(name, ".go")
		i := slices.IndexFunc(kinds, func(k string) bool { return name == k || strings.HasPrefix(name, k+"_") })
		if i < 0 {
			return "" // Shared.
		}
		return kinds[i]
	}
	owner := map[string]string{} // Of package-level names.
	for name, f := range files {
		for _, d := range f.Decls {
			for _, id := range declared(d) {
				owner[id] = kindOf(name)
			}
		}
	}
	for name, f := range files {
		members := map[*ast.Ident]bool{}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				members[n.Sel] = true
			case *ast.KeyValueExpr:
				if id, ok := n.Key.(*ast.Ident); ok {
					members[id] = true
				}
			case *ast.Field:
				for _, id := range n.Names {
					members[id] = true
				}
			case *ast.FuncDecl:
				members[n.Name] = n.Recv != nil
			}
			return true
		})
		mine := kindOf(name)
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && !members[id] && owner[id.Name] != "" && owner[id.Name] != mine && !local(f, id) {
				t.Errorf("%s uses %s of kind %s", fset.Position(id.Pos()), id.Name, owner[id.Name])
			}
			return true
		})
	}
}

// declaresKind reports whether a function of the file returns an engine.Kind.
func declaresKind(f *ast.File) bool {
	return slices.ContainsFunc(f.Decls, func(d ast.Decl) bool {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Type.Results == nil || len(fn.Type.Results.List) != 1 {
			return false
		}
		sel, ok := fn.Type.Results.List[0].Type.(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "Kind"
	})
}

// declared are the package-level names of a declaration.
func declared(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, id := range s.Names {
					names = append(names, id.Name)
				}
			}
		}
	}
	return names
}

// local reports whether a name is also that of a variable, parameter or field
// somewhere in the file: it hides the package's.
func local(f *ast.File, id *ast.Ident) (found bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, l := range n.Lhs {
				if v, ok := l.(*ast.Ident); ok && n.Tok == token.DEFINE && v.Name == id.Name {
					found = true
				}
			}
		case *ast.Field:
			for _, v := range n.Names {
				found = found || v.Name == id.Name
			}
		case *ast.ValueSpec:
			for _, v := range n.Names {
				found = found || v.Name == id.Name && v != id
			}
		case *ast.RangeStmt:
			for _, v := range []ast.Expr{n.Key, n.Value} {
				if v, ok := v.(*ast.Ident); ok && v.Name == id.Name {
					found = true
				}
			}
		}
		return !found
	})
	return found
}
