package main

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/edrwatch/edrwatch/mappings"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules"
)

// schemaOf compiles what `edrwatch schema` prints.
func schemaOf(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	text, stderr, code := cli(t, "", "schema", file)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(file+".json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile(file + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// TestShippedFilesFitTheirSchemas holds that an editor finds nothing wrong with
// any shipped rule or mapping file, and that it finds what is wrong.
func TestShippedFilesFitTheirSchemas(t *testing.T) {
	for file, tree := range map[string]fs.FS{"rule": rules.Library(), "mapping": mappings.Library()} {
		compiled, n := schemaOf(t, file), 0
		err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || path.Ext(name) != ".yml" {
				return err
			}
			src, err := fs.ReadFile(tree, name)
			if err != nil {
				return err
			}
			nodes, err := strict.Parse(name, src)
			if err != nil {
				return err
			}
			for _, node := range nodes {
				if node.Kind() != strict.Mapping {
					continue // A lookup table.
				}
				n++
				if err := compiled.Validate(node.Value()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			return nil
		})
		if err != nil || n < 10 {
			t.Errorf("%s: %d documents: %v", file, n, err)
		}
	}
	for file, text := range map[string]string{"rule": strings.Replace(testable, "suppress:", "supress:", 1), "mapping": "vendor: x\ndataset: y\nmatsh: []\n"} {
		node, err := strict.ParseOne("bad.yml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if schemaOf(t, file).Validate(node.Value()) == nil {
			t.Errorf("%s: a misspelt key passes", file)
		}
	}
}
