package load

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// Files are rules as they were read: the shape of every file is right, the
// conditions are not yet checked against a dictionary.
type Files struct {
	kinds []engine.Kind
	rules []Source
	defs  expression.Definitions
	named map[string]strict.Node // Where lists and macros are defined.
	room  spec.Room
}

// Source is one rule of a file.
type Source struct {
	File string
	Node strict.Node
	Decl engine.Declaration
}

// Tree is a directory with rule files.
type Tree struct {
	FS   fs.FS
	Path string // Put before the names of its files in messages; may be empty.
}

// Read reads every .yml and .yaml file of the trees, in alphabetical order. It
// returns the rules that are good beside a *strict.Error with all problems.
func Read(kinds []engine.Kind, trees []Tree) (*Files, error) {
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

// ReadFile reads the rules of one file.
func ReadFile(kinds []engine.Kind, name string, src []byte) (*Files, error) {
	files := &Files{kinds: kinds}
	if err := strict.Merge(files.add(name, src), files.duplicates()); err != nil {
		return nil, err
	}
	return files, nil
}

// Sources are the rules in the order of their files.
func (f *Files) Sources() []Source { return f.rules }

// With returns files that define the same lists and macros, and hold these
// rules.
func (f *Files) With(sources ...Source) *Files {
	return &Files{kinds: f.kinds, defs: f.defs, named: f.named, rules: sources}
}

// Len is the number of rules, disabled ones included.
func (f *Files) Len() int { return len(f.rules) }

func (f *Files) add(name string, src []byte) error {
	if err := f.room.CountFile(name, len(src), 0); err != nil || f.room.Full {
		return err // Of a directory that holds something other than rules only the first file too many is reported.
	}
	nodes, err := strict.Parse(name, src)
	if err != nil {
		return err
	}
	if err := f.room.CountFile(name, 0, len(nodes)); err != nil {
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

func (f *Files) parseRule(file string, node strict.Node) (Source, error) {
	if node.Kind() != strict.Mapping {
		return Source{}, node.Errorf("expected a rule, found %s", node.Describe())
	}
	decl, err := f.Declare(node)
	if err != nil {
		return Source{}, err
	}
	if err := node.Decode(decl); err != nil {
		return Source{}, err
	}
	c := spec.NewChecker(node)
	spec.CheckHeader(&c, decl.Shared())
	decl.Check(&c)
	for i := range decl.Shared().Tests {
		decl.Shared().Tests[i].Check(&c)
	}
	return Source{File: file, Node: node, Decl: decl}, c.Err()
}

// Declare makes the empty declaration of the rule's type.
func (f *Files) Declare(node strict.Node) (engine.Declaration, error) {
	typ := node.Get("type")
	if typ.IsZero() {
		return nil, node.Errorf("missing key \"type\": expected one of %s", strings.Join(engine.KindNames(f.kinds), ", "))
	}
	word, _ := typ.Scalar()
	kind, hint := engine.FindKind(f.kinds, word)
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
	ids, names := map[string]*Source{}, map[string]*Source{}
	for i := range f.rules {
		s := &f.rules[i]
		h := s.Decl.Shared()
		for _, key := range []struct {
			name, value string
			seen        map[string]*Source
		}{{"id", strings.ToLower(h.ID), ids}, {"name", h.Name, names}} {
			first, dup := key.seen[key.value]
			if !dup {
				key.seen[key.value] = s
				continue
			}
			line, _ := first.Node.Position()
			problems = append(problems, s.Node.Get(key.name).Problem("%s %q is taken by the rule at %s:%d", key.name, key.value, first.File, line))
		}
	}
	return strict.NewError(problems...)
}
