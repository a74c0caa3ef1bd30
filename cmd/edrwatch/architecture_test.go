package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/edrwatch/edrwatch/"

// goPackage is what `go list -json` says of a package.
type goPackage struct {
	ImportPath, Dir, Doc string
	Imports, GoFiles     []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Imports,GoFiles", "../../...").Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		for i, imp := range p.Imports {
			p.Imports[i] = strings.TrimPrefix(imp, module)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("found only %d packages", len(all))
	}
	return all
}

// within reports whether a package is dir or below it.
func within(pkg string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") })
}

// TestImportsPointOneWay holds the house rule: leaves ← mappings, rules,
// sources, sinks ← app ← cmd.
func TestImportsPointOneWay(t *testing.T) {
	families := []string{"mappings", "rules", "sources", "sinks"}
	leaves := []string{"pipeline/ecs", "pipeline/event", "pipeline/fault", "pipeline/secret"}
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			bad := ""
			switch {
			case within(p.ImportPath, leaves...) && p.ImportPath != "pipeline/ecs/internal/generate" &&
				strings.Contains(strings.SplitN(imp, "/", 2)[0], "."):
				bad = "a leaf imports the standard library only"
			case within(p.ImportPath, leaves...) && within(imp, "pipeline", "mappings", "rules", "sources", "sinks", "cmd") && !within(imp, leaves...):
				bad = "a leaf imports leaves only"
			case within(p.ImportPath, "pipeline") && within(imp, families...):
				bad = "the pipeline knows none of its parts"
			case within(p.ImportPath, families...) && imp == "pipeline" && !isTestHelper(p.ImportPath):
				bad = "parts know the pipeline's sub-packages only"
			case within(imp, "cmd") && !within(p.ImportPath, "cmd"):
				bad = "nobody imports cmd"
			case isTestHelper(imp) && !isTestHelper(p.ImportPath):
				bad = "test helpers are imported by tests only"
			}
			for _, f := range families {
				if within(p.ImportPath, f) && slices.ContainsFunc(families, func(o string) bool { return o != f && within(imp, o) }) {
					bad = "mappings, rules, sources and sinks never import each other"
				}
			}
			if bad != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, bad)
			}
		}
	}
}

// TestRoomsOfRules holds which room of package rules may know which: the engine
// knows no kind, and what a file says knows neither.
func TestRoomsOfRules(t *testing.T) {
	const room = "rules/internal/"
	may := map[string][]string{ // Of what is below rules/.
		room + "wording":    {},
		room + "snapshot":   {},
		room + "expression": {},
		room + "table":      {room + "snapshot", room + "wording"},
		room + "spec":       {room + "expression"},
		room + "engine":     {room + "spec", room + "table", room + "expression", room + "snapshot", room + "wording", "rules/fleet", "rules/fleet/identity"},
		room + "kinds":      {room + "engine", room + "spec", room + "table", room + "expression", room + "snapshot", room + "wording", "rules/fleet", "rules/fleet/identity"},
		room + "load":       {room + "engine", room + "spec", room + "expression"},
		"rules/ruletest":    {room + "load", room + "engine", room + "spec", room + "expression", room + "wording", "rules/fleet", "rules/fleet/identity"},
		"rules/author":      {room + "load", room + "engine", room + "spec"},
	}
	seen := 0
	for _, p := range packages(t) {
		allowed, ok := may[p.ImportPath]
		if !ok {
			continue
		}
		seen++
		for _, imp := range p.Imports {
			if within(imp, "rules") && !slices.Contains(allowed, imp) {
				t.Errorf("%s imports %s, which is none of %s", p.ImportPath, imp, strings.Join(allowed, ", "))
			}
		}
	}
	if seen != len(may) {
		t.Errorf("%d of %d rooms were found", seen, len(may))
	}
}

func isTestHelper(pkg string) bool {
	return within(pkg, "sources/sourcetest", "sinks/sinktest", "pipeline/respond/respondtest", "pipeline/decode/registry/registrytest", "pipeline/goldentest", "pipeline/ecs/ecstest")
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// TestSourceFiles holds the rules about files that a reader relies on.
func TestSourceFiles(t *testing.T) {
	grabBags := []string{"util.go", "utils.go", "helper.go", "helpers.go", "common.go", "misc.go", "types.go"}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		if slices.Contains(grabBags, d.Name()) {
			t.Errorf("%s: name the concept instead", path)
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if n := bytes.Count(src, []byte("\n")); n > 600 && !strings.HasSuffix(path, "_gen.go") {
			t.Errorf("%s has %d lines: split it by concept", path, n)
		}
		if bytes.Contains(src, []byte(`flag.Bool(`+`"update"`)) {
			t.Errorf("%s: golden files are written with EDRWATCH_UPDATE=1 (package goldentest), which works in all packages", path)
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, src, 0)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init works behind the reader's back", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRootIsAsAgreed keeps the root of the repository to its fixed list.
func TestRootIsAsAgreed(t *testing.T) {
	out, err := exec.Command("git", "-C", "../..", "ls-files").Output()
	if err != nil {
		t.Logf("not a git checkout, nothing to compare: %v", err)
		return
	}
	allowed := strings.Fields("cmd pipeline rules sinks sources mappings deploy go.mod go.sum README.md LICENSE")
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		root, _, _ := strings.Cut(s.Text(), "/")
		if !slices.Contains(allowed, root) && !strings.HasPrefix(root, ".") {
			t.Errorf("%s does not belong at the root", root)
		}
	}
}
