package rules

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// Files are rules as they were read: the shape of every file is right, the
// conditions are not yet checked against a dictionary.
type Files struct {
	kinds []Kind
	rules []source
	defs  expression.Definitions
	named map[string]strict.Node // Where lists and macros are defined.
	room  room
}

// source is one rule of a file.
type source struct {
	file string
	node strict.Node
	decl declaration
}

// declaration is a rule of a certain type as its file declares it.
type declaration interface {
	header() *Header
	// check reports what can be seen without a dictionary.
	check(c *checker)
	// compile compiles the conditions. What it returns is immutable.
	compile(c *compiler) plan
}

// Kind is one type of rule.
type Kind struct {
	Name     string              // The value of type.
	New      func() declaration  // An empty declaration with its defaults.
	Keys     map[string]string   // What its own keys mean, for editors; by name.
	Words    map[string][]string // The values of its own keys that take one of a few words; by name.
	Scaffold string              // Its own keys and two tests, from which a new rule begins.
}

// typeNames are the names of kinds in alphabetical order.
func typeNames(kinds []Kind) []string {
	var names []string
	for i := range kinds {
		names = append(names, kinds[i].Name)
	}
	slices.Sort(names)
	return names
}

// find returns the kind of a name, else nil and a hint that suggests one.
func find(kinds []Kind, name string) (kind *Kind, hint string) {
	for i := range kinds {
		if kinds[i].Name == name {
			return &kinds[i], ""
		}
	}
	names := typeNames(kinds)
	hint = "there are " + strings.Join(names, ", ")
	if near, ok := strict.Nearest(name, names); ok {
		hint = fmt.Sprintf("did you mean %q? There are %s", near, strings.Join(names, ", "))
	}
	return nil, hint
}

// Tree is a directory with rule files.
type Tree struct {
	FS   fs.FS
	Path string // Put before the names of its files in messages; may be empty.
}

// read reads every .yml and .yaml file of the trees, in alphabetical order. It
// returns the rules that are good beside a *strict.Error with all problems.
func read(kinds []Kind, trees []Tree) (*Files, error) {
	files := &Files{kinds: kinds}
	var errs []error
	for _, tree := range trees {
		err := fs.WalkDir(tree.FS, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if ext := path.Ext(name); d.IsDir() || ext != ".yml" && ext != ".yaml" {
				return nil
			}
			src, err := strict.ReadFile(tree.FS, name)
			if err != nil {
				return err
			}
			errs = append(errs, files.add(path.Join(tree.Path, name), src))
			return nil
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("reading rules: %w", err))
		}
	}
	errs = append(errs, files.duplicates())
	return files, strict.Merge(errs...)
}

// readFile reads the rules of one file.
func readFile(kinds []Kind, name string, src []byte) (*Files, error) {
	files := &Files{kinds: kinds}
	if err := strict.Merge(files.add(name, src), files.duplicates()); err != nil {
		return nil, err
	}
	return files, nil
}

// sources are the rules in the order of their files.
func (f *Files) sources() []source { return f.rules }

// with returns files that define the same lists and macros, and hold these
// rules.
func (f *Files) with(sources ...source) *Files {
	return &Files{kinds: f.kinds, defs: f.defs, named: f.named, rules: sources}
}

// Len is the number of rules, disabled ones included.
func (f *Files) Len() int { return len(f.rules) }

func (f *Files) add(name string, src []byte) error {
	if err := f.room.take(name, len(src), 0); err != nil || f.room.full {
		return err // Of a directory that is something else only the first file too many is told.
	}
	nodes, err := strict.Parse(name, src)
	if err != nil {
		return err
	}
	if err := f.room.take(name, 0, len(nodes)); err != nil {
		return err
	}
	var errs []error
	for _, node := range nodes {
		if isDefinition(node) {
			errs = append(errs, f.define(node))
			continue
		}
		s, err := f.parseRule(name, node)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		f.rules = append(f.rules, s)
	}
	return strict.Merge(errs...)
}

func (f *Files) parseRule(file string, node strict.Node) (source, error) {
	if node.Kind() != strict.Mapping {
		return source{}, node.Errorf("expected a rule, found %s", node.Describe())
	}
	decl, err := f.declare(node)
	if err != nil {
		return source{}, err
	}
	if err := node.Decode(decl); err != nil {
		return source{}, err
	}
	c := newChecker(node)
	checkHeader(&c, decl.header())
	decl.check(&c)
	for i := range decl.header().Tests {
		decl.header().Tests[i].check(&c)
	}
	return source{file: file, node: node, decl: decl}, c.err()
}

// declare makes the empty declaration of the rule's type.
func (f *Files) declare(node strict.Node) (declaration, error) {
	typ := node.Get("type")
	if typ.IsZero() {
		return nil, node.Errorf("missing key \"type\": expected one of %s", strings.Join(typeNames(f.kinds), ", "))
	}
	word, _ := typ.Scalar()
	kind, hint := find(f.kinds, word)
	if kind != nil {
		return kind.New(), nil
	}
	p := typ.Problem("unknown rule type %q", word)
	p.Hint = hint
	return nil, strict.NewError(p)
}

// duplicates reports ids and names that two rules share.
func (f *Files) duplicates() error {
	var problems []strict.Problem
	ids, names := map[string]*source{}, map[string]*source{}
	for i := range f.rules {
		s := &f.rules[i]
		h := s.decl.header()
		for _, key := range []struct {
			name, value string
			seen        map[string]*source
		}{{"id", strings.ToLower(h.ID), ids}, {"name", h.Name, names}} {
			first, dup := key.seen[key.value]
			if !dup {
				key.seen[key.value] = s
				continue
			}
			line, _ := first.node.Position()
			problems = append(problems, s.node.Get(key.name).Problem("%s %q is taken by the rule at %s:%d", key.name, key.value, first.file, line))
		}
	}
	return strict.NewError(problems...)
}
