package mappings

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Files are mapping files with their lookup tables, read but not compiled.
type Files struct {
	specs  []*fileSpec // in order of their paths
	tables map[string]*table
	zones  *table // of zones.csv; nil for none
}

// Parse reads every *.yml and *.yaml file of the given file systems, folders
// called testdata left out. A file of a later file system replaces the one of
// the same path. The error names every problem with file, line and column.
func Parse(fsys ...fs.FS) (*Files, error) {
	sources := map[string][]byte{}
	for _, fsys := range fsys {
		if err := readFiles(fsys, sources); err != nil {
			return nil, fmt.Errorf("reading mapping files: %w", err)
		}
	}
	f := &Files{tables: map[string]*table{}}
	var problems []error
	for _, name := range sortedKeys(sources) {
		node, err := strict.ParseOne(name, sources[name])
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if node.Kind() == strict.List {
			continue // a lookup table in YAML
		}
		spec := &fileSpec{node: node}
		if err := node.Decode(spec); err != nil {
			problems = append(problems, err)
			continue
		}
		f.specs = append(f.specs, spec)
		problems = append(problems, f.readTables(name, spec, fsys))
	}
	problems = append(problems, f.checkDatasets(), f.readZones(fsys))
	if err := strict.Merge(slices.DeleteFunc(problems, isNil)...); err != nil {
		return nil, err
	}
	return f, nil
}

func isNil(err error) bool { return err == nil }

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func readFiles(fsys fs.FS, sources map[string][]byte) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".yml" && path.Ext(name) != ".yaml":
			return nil
		}
		sources[name], err = strict.ReadFile(fsys, name)
		return err
	})
}

// checkDatasets makes sure that a dataset belongs to one file.
func (f *Files) checkDatasets() error {
	var problems []strict.Problem
	first := map[string]strict.Text{}
	for _, spec := range f.specs {
		if other, dup := first[spec.Dataset.Value]; dup {
			problems = append(problems, spec.Dataset.Problem(0, fmt.Sprintf("dataset %q is taken", spec.Dataset.Value), "by "+other.File))
			continue
		}
		first[spec.Dataset.Value] = spec.Dataset
	}
	return strict.NewError(problems...)
}

func (f *Files) readTables(name string, spec *fileSpec, fsys []fs.FS) error {
	var problems []error
	for _, id := range sortedKeys(spec.Lookups) {
		lookup := spec.Lookups[id]
		file := path.Join(path.Dir(name), lookup.File.Value)
		t, err := readTable(file, lookup, fsys)
		if err == nil {
			f.tables[tableName(spec, id)] = t
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = strict.NewError(lookup.File.Problem(0, fmt.Sprintf("lookup table %q does not exist", file), "the path is relative to this file"))
		}
		problems = append(problems, err)
	}
	return strict.Merge(problems...)
}

// readZones reads zones.csv, which lies beside the folders of vendors.
func (f *Files) readZones(fsys []fs.FS) error {
	t, err := readTable(zonesFile, tableSpec{Key: paths{{Value: "topic"}, {Value: "dataset"}}}, fsys)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && t.column("zone") < 0 {
		err = strict.NewError(strict.Problem{File: zonesFile, Message: "the table has no column \"zone\"", Hint: "expected topic,dataset,zone"})
	}
	f.zones = t
	return err
}

func tableName(spec *fileSpec, id string) string { return spec.Dataset.Value + "\x00" + id }

// root is the name of the object that holds the vendor's own fields.
func (s *fileSpec) root() string {
	if s.Root.Value != "" {
		return s.Root.Value
	}
	return strings.ToLower(s.Vendor.Value)
}

// Fields returns the names that the files add to the dictionary: those that
// they declare under names, and for a vendor that declares none its root as
// one flattened field.
func (f *Files) Fields() []ecs.Field {
	var fields []ecs.Field
	typed, roots := map[string]bool{}, map[string]string{}
	for _, spec := range f.specs {
		if spec.Split.Value != "" {
			continue // No event is made of an envelope.
		}
		root := spec.root()
		roots[root] = spec.Vendor.Value
		for _, name := range sortedKeys(spec.Names) {
			typed[root] = true
			fields = append(fields, ecs.Field{Name: root + "." + name, Type: spec.Names[name], Meaning: "Field of " + spec.Vendor.Value + "."})
		}
	}
	for _, root := range sortedKeys(roots) {
		if !typed[root] {
			fields = append(fields, ecs.Field{Name: root, Type: "flattened", Meaning: "Fields of " + roots[root] + " without a home of their own."})
		}
	}
	return fields
}
