package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/edrwatch/edrwatch/pipeline/goldentest"
)

// message is a text of the program that somebody reads: at least two words in
// a constant.
type message struct {
	kind string // log, error, help, metric or text
	text string
	file string // where it stands, which the golden file does not say
}

// TestMessages lists everything that the program can say, so that a change of
// wording is read as such. The list does not name files: moving code leaves it
// alone.
func TestMessages(t *testing.T) {
	var lines []string
	for _, m := range messages(t) {
		lines = append(lines, fmt.Sprintf("%-6s %s\n", m.kind, strconv.Quote(m.text)))
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	if len(lines) < 500 {
		t.Fatalf("found only %d messages", len(lines))
	}
	goldentest.Compare(t, filepath.Join("testdata", "messages.golden"), []byte(strings.Join(lines, "")))
}

// notOfTheProgram are directories whose texts no user of the program sees.
var notOfTheProgram = []string{
	"testdata", ".git", "deploy/testbed", "deploy/checks", "sinks/sinktest", "sources/sourcetest", "pipeline/goldentest",
	"pipeline/ecs/ecstest", "pipeline/ecs/internal", "pipeline/respond/respondtest", "pipeline/decode/registry/registrytest",
}

// recordMakers are directories whose texts, apart from errors, are records.
var recordMakers = []string{"sources/simulator", "cmd/edrwatch/internal/evaluate/variation"}

// messages reads them out of the sources of the module.
func messages(t *testing.T) []message {
	t.Helper()
	var all []message
	walkSources(t, ".go", func(path string, src []byte) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, messagesOf(path, file)...)
	})
	return all
}

// walkSources reads the files of the module with an ending.
func walkSources(t *testing.T, ending string, read func(path string, src []byte)) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		name = filepath.ToSlash(name)
		if d.IsDir() && (slices.Contains(notOfTheProgram, name) || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ending) {
			return nil
		}
		src, err := os.ReadFile(path)
		if err == nil {
			read(name, src)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func messagesOf(path string, file *ast.File) []message {
	var all []message
	kind := map[ast.Expr]string{} // of constants whose use is known
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if k := kindOfCall(n); k != "" {
				for _, arg := range n.Args {
					kind[arg] = k
				}
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok {
				kind[n.Value] = map[string]string{"Short": "help", "Long": "help", "Example": "help", "Help": "metric"}[key.Name]
			}
		case *ast.ImportSpec, *ast.Field: // paths, and the tags of fields
			return false
		case ast.Expr:
			text, ok := constant(n)
			if !ok {
				return true
			}
			k := cmp.Or(kind[n], "text")
			if words(text) >= 2 && !query.MatchString(text) && !(k == "text" && within(path, recordMakers...)) {
				all = append(all, message{k, text, path})
			}
			return false
		}
		return true
	})
	return all
}

// query recognises the SQL of the embedded store.
var query = regexp.MustCompile(`\b(SELECT|FROM|WHERE|ORDER BY|GROUP BY|CREATE TABLE|COLLATE NOCASE|ESCAPE|TEXT NOT NULL|IS NOT NULL|UPDATE \w+ SET)\b`)

// kindOfCall tells what the constants that a function is given are: by its
// name, which is how readers of a call know it, too.
func kindOfCall(call *ast.CallExpr) string {
	name, of := "", ""
	switch f := call.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
		if x, ok := f.X.(*ast.Ident); ok {
			of = x.Name
		}
	}
	switch {
	case slices.Contains([]string{"Debug", "Info", "Warn", "Error", "DebugContext", "InfoContext", "WarnContext", "ErrorContext"}, name):
		return "log"
	case name == "Errorf", of == "errors" && name == "New", of == "fault", name == "WithHint":
		return "error"
	case strings.HasSuffix(name, "Var") || strings.HasSuffix(name, "VarP"):
		return "help"
	case name == "counter", name == "gauge", name == "histogram", name == "desc", name == "description", name == "NewDesc":
		return "metric"
	}
	return ""
}

// constant is the value of a literal, or of literals that are joined.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, e.Kind == token.STRING && err == nil
	case *ast.ParenExpr:
		return constant(e.X)
	case *ast.BinaryExpr:
		left, ok := constant(e.X)
		right, also := constant(e.Y)
		return left + right, e.Op == token.ADD && ok && also
	}
	return "", false
}

// words counts the words of a text that begin with a letter.
func words(text string) int {
	n := 0
	for _, w := range strings.Fields(text) {
		w = strings.TrimLeft(w, "`\"'(")
		if first := []rune(w + " ")[0]; unicode.IsLetter(first) {
			n++
		}
	}
	return n
}
