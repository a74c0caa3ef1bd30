package config

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/goldentest"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// structs returns all structs of which a configuration can consist.
func structs() map[reflect.Type]bool {
	found := map[reflect.Type]bool{}
	var visit func(v reflect.Value)
	visit = func(v reflect.Value) {
		v = filled(v)
		switch t := v.Type(); {
		case isVariant(t):
			found[t] = true
			for _, k := range v.Addr().Interface().(variant).kinds() {
				entry := reflect.New(t)
				entry.Interface().(variant).setSettings(k.make())
				for _, k := range keysOf(entry.Elem()) {
					found[k.owner] = true
					visit(k.value)
				}
			}
		case formOf(t) == formStruct:
			for _, k := range keysOf(v) {
				found[k.owner] = true
				visit(k.value)
			}
		case formOf(t) == formList, formOf(t) == formMap:
			visit(reflect.New(t.Elem()).Elem())
		}
	}
	cfg := Default()
	visit(reflect.ValueOf(&cfg).Elem())
	return found
}

// TestFieldDocs compares fields.tsv with the comments in the sources.
func TestFieldDocs(t *testing.T) {
	var lines []string
	src := sources{}
	for s := range structs() {
		comments := src.read(t, s)
		names := keyNames(s)
		for i := range s.NumField() {
			f := s.Field(i)
			if tag := f.Tag.Get("yaml"); tag == "" || tag == "-" || strings.HasPrefix(tag, ",") {
				continue
			}
			text := comments.fields[f.Name]
			if text == "" && strings.Contains(comments.own, f.Name) {
				text = comments.own
			}
			if text == "" && strings.HasPrefix(f.Type.PkgPath(), module) {
				text = src.read(t, f.Type).own
			}
			lines = append(lines, fieldName(s, f.Name)+"\t"+names.Replace(text)+"\n")
		}
	}
	slices.Sort(lines)
	want := strings.Join(lines, "")
	goldentest.Compare(t, "fields.tsv", []byte(want))
}

const module = "github.com/edrwatch/edrwatch/"

// comments of a type and of its fields.
type comments struct {
	own    string
	fields map[string]string
}

// keyNames replaces the names that fields have in Go by those that they have in the file.
func keyNames(s reflect.Type) *strings.Replacer {
	var pairs []string
	for i := range s.NumField() {
		f := s.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		for _, end := range []string{" ", ",", ".", ":", ";"} {
			if key != "" && key != "-" {
				pairs = append(pairs, f.Name+end, key+end)
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

// sources holds the parsed files of packages, by import path.
type sources map[string][]*ast.File

// read reads the comments of a type from the source of its package. A field without a comment of its own shares that of
// the field above when that names it.
func (s sources) read(t *testing.T, of reflect.Type) comments {
	t.Helper()
	if _, ok := s[of.PkgPath()]; !ok {
		path := filepath.FromSlash(strings.TrimPrefix(of.PkgPath(), module))
		names, err := filepath.Glob(filepath.Join("..", "..", "..", "..", path, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			s[of.PkgPath()] = append(s[of.PkgPath()], file)
		}
	}
	found := comments{fields: map[string]string{}}
	for _, file := range s[of.PkgPath()] {
		ast.Inspect(file, func(n ast.Node) bool {
			general, ok := n.(*ast.GenDecl)
			if !ok {
				return true
			}
			for _, sp := range general.Specs {
				spec, ok := sp.(*ast.TypeSpec)
				if !ok || spec.Name.Name != of.Name() {
					continue
				}
				found.own = oneLine(general.Doc.Text() + spec.Doc.Text())
				if body, ok := spec.Type.(*ast.StructType); ok {
					fieldComments(body, found.fields)
				}
			}
			return false
		})
	}
	return found
}

func fieldComments(body *ast.StructType, into map[string]string) {
	above := ""
	for _, f := range body.Fields.List {
		text := oneLine(f.Doc.Text())
		if text == "" {
			text = oneLine(f.Comment.Text())
		}
		for _, name := range f.Names {
			own := text
			if own == "" && strings.Contains(above, name.Name) {
				own = above
			}
			into[name.Name] = own
			if own != "" {
				above = own
			}
		}
	}
}

// oneLine returns a comment as one line without the marks of links.
func oneLine(comment string) string {
	return strings.Join(strings.Fields(string((&doc.Package{}).Text(comment))), " ")
}

// TestSchemaKnowsEveryKey holds the schema against the good configurations: it must know every key in them.
func TestSchemaKnowsEveryKey(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("testdata/good/*.yml")
	if err != nil || len(names) == 0 {
		t.Fatal(err)
	}
	for _, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		node, err := strict.ParseOne(name, src)
		if err != nil {
			t.Fatal(err)
		}
		if problem := conforms(node, root); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
	}
	node, _ := strict.ParseOne("bad.yml", []byte("sinks: [{name: x, type: store, urls: [a]}]"))
	if conforms(node, root) == "" {
		t.Error("the schema lets a key of another type of sink pass")
	}
}

// conforms checks the part of JSON Schema that Schema uses to describe structure.
func conforms(n strict.Node, schema map[string]any) string {
	if alternatives, ok := schema["oneOf"].([]any); ok {
		var last string
		for _, a := range alternatives {
			if last = conforms(n, a.(map[string]any)); last == "" {
				return ""
			}
		}
		return last
	}
	if constant, ok := schema["const"]; ok && n.Value() != constant {
		return fmt.Sprintf("expected %v, found %s", constant, n.Describe())
	}
	for _, e := range n.Entries() {
		name, _ := e.Key.Scalar()
		properties, _ := schema["properties"].(map[string]any)
		of, ok := properties[name].(map[string]any)
		if !ok {
			of, ok = schema["additionalProperties"].(map[string]any)
		}
		if !ok {
			return "unknown key " + name
		}
		if problem := conforms(e.Value, of); problem != "" {
			return name + ": " + problem
		}
	}
	for _, item := range n.Items() {
		of, ok := schema["items"].(map[string]any)
		if !ok {
			return "unexpected list"
		}
		if problem := conforms(item, of); problem != "" {
			return problem
		}
	}
	return ""
}

// TestEveryVariableSetsOneThing holds that no two settings share the name of a variable.
func TestEveryVariableSetsOneThing(t *testing.T) {
	root := strict.Node{}
	for list, kinds := range map[string][]kind{"sources": sourceKinds(), "sinks": sinkKinds()} {
		elements := strict.NewList("test")
		for i, k := range kinds {
			elements = elements.WithItem(i, strict.NewMapping("test").
				With("name", strict.NewScalar("test", k.name)).With("type", strict.NewScalar("test", k.name)))
		}
		root = root.With(list, elements)
	}
	cfg := Default()
	seen := map[string]bool{}
	for _, s := range settingsOf(reflect.ValueOf(&cfg).Elem(), root) {
		if seen[s.name] {
			t.Errorf("two settings are set by %s", s.name)
		}
		if foreign.MatchString(s.name) {
			t.Errorf("%s looks like a variable of Kubernetes", s.name)
		}
		seen[s.name] = true
	}
	if len(seen) < 30 {
		t.Errorf("only %d settings", len(seen))
	}
}
