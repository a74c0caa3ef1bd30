package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

const prefix = "EDRWATCH_"

// foreign matches variables that begin like ours but are not settings: those of the command line and of the test bed,
// and those that Kubernetes gives to every container of a namespace with a service whose name begins with edrwatch.
var foreign = regexp.MustCompile(`^EDRWATCH_(CONFIG|TESTBED_.*|(.*_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?))$`)

// setting is a value that a variable can set.
type setting struct {
	name string // Of the variable.
	path []step
	form form
}

// step leads from a node to one below it: to a key, or, when key is empty, to an element of a list.
type step struct {
	key   string
	index int
}

// envName returns a key or name in the form that it has in variables.
func envName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, name)
}

// overlay lays the variables that set something over the tree. Types go first: they decide which settings there are.
func overlay(root strict.Node, cfg Config, r resolver) (strict.Node, error) {
	variables := r.variables
	var errs []error
	assign := func(s setting, name string) {
		value, err := newValue(s, name, variables[name], r)
		errs = append(errs, err)
		root = set(root, s.path, value)
	}
	var names []string
	for name, value := range variables {
		if strings.HasPrefix(name, prefix) && value != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasSuffix(name, "_TYPE") {
			root = addElement(root, name)
		}
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_TYPE") {
			known := settingsOf(reflect.ValueOf(&cfg).Elem(), root)
			if s, ok := find(known, name); ok {
				assign(s, name)
			}
		}
	}
	known := settingsOf(reflect.ValueOf(&cfg).Elem(), root)
	for _, name := range names {
		s, ok := find(known, name)
		switch {
		case ok && strings.HasSuffix(name, "_TYPE") && s.form == formScalar:
		case ok:
			assign(s, name)
		case !foreign.MatchString(name):
			errs = append(errs, unknownVariable(name, known))
		}
	}
	return root, strict.Merge(errs...)
}

func unknownVariable(name string, known []setting) error {
	candidates := make([]string, len(known))
	for i, s := range known {
		candidates[i] = s.name
	}
	hint := ""
	if nearest, ok := strict.Nearest(name, candidates); ok {
		hint = fmt.Sprintf("did you mean %s?", nearest)
	}
	return problemWithHint(strict.Problem{File: name, Message: "unknown environment variable"}, hint)
}

// addElement adds the source or sink to which a variable that ends in _TYPE gives a type, when there is none of that name.
func addElement(root strict.Node, variable string) strict.Node {
	for _, list := range []string{"sources", "sinks", "responders"} {
		rest, ok := strings.CutPrefix(variable, prefix+envName(list)+"_")
		name := strings.TrimSuffix(rest, "_TYPE")
		if !ok || name == rest || name == "" {
			continue
		}
		items := root.Get(list).Items()
		taken := slices.ContainsFunc(items, func(item strict.Node) bool {
			own, _ := item.Get("name").Scalar()
			// A variable that begins with the name of an element is about that element.
			return strings.HasPrefix(name+"_", envName(own)+"_") && own != ""
		})
		if kind := root.Get(list).Kind(); !taken && (kind == strict.List || kind == strict.Null || kind == strict.Invalid) {
			element := strict.NewMapping(variable).With("name", strict.NewScalar(variable, strings.ToLower(name)))
			root = root.With(list, root.Get(list).WithItem(len(items), element))
		}
	}
	return root
}

// find returns the setting that a variable sets: one of exactly this name, or an entry of a map.
func find(known []setting, name string) (setting, bool) {
	for _, s := range known {
		if s.name == name && s.form != formMap {
			return s, true
		}
	}
	for _, s := range known {
		if entry, ok := strings.CutPrefix(name, s.name+"_"); ok && s.form == formMap && entry != "" {
			s.path = append(slices.Clone(s.path), step{key: strings.ToLower(entry)})
			s.form = formScalar
			return s, true
		}
	}
	return setting{}, false
}

// newValue makes a node of the value of a variable.
func newValue(s setting, name, text string, r resolver) (strict.Node, error) {
	if s.form != formTexts {
		return r.variable(name, text)
	}
	var items []strict.Node
	var errs []error
	for item := range strings.SplitSeq(text, ",") {
		n, err := r.variable(name, strings.TrimSpace(item))
		items, errs = append(items, n), append(errs, err)
	}
	return strict.NewList(name, items...), strict.Merge(errs...)
}

// set returns the tree with a value at a path.
func set(n strict.Node, path []step, value strict.Node) strict.Node {
	if len(path) == 0 {
		return value
	}
	s := path[0]
	if s.key != "" {
		return n.With(s.key, set(n.Get(s.key), path[1:], value))
	}
	return n.WithItem(s.index, set(n.Items()[s.index], path[1:], value))
}

// settingsOf lists everything that variables can set, given the elements that the tree has.
func settingsOf(v reflect.Value, n strict.Node) []setting {
	l := lister{}
	l.structure(v, n, strings.TrimSuffix(prefix, "_"), nil)
	return l.found
}

type lister struct{ found []setting }

func (l *lister) structure(v reflect.Value, n strict.Node, name string, path []step) {
	v = filled(v)
	if entry, ok := v.Addr().Interface().(variant); ok {
		kindName := *entry.kindName()
		if given, ok := n.Get("type").Scalar(); ok {
			kindName = given
		}
		_ = chooseKind(n.Get("type"), entry, kindName) // A type that does not exist has no settings; decoding reports it.
	}
	for _, k := range keysOf(v) {
		l.value(k.value, n.Get(k.name), name+"_"+envName(k.name), append(slices.Clone(path), step{key: k.name}))
	}
}

func (l *lister) value(v reflect.Value, n strict.Node, name string, path []step) {
	switch f := formOf(v.Type()); f {
	case formStruct:
		l.structure(v, n, name, path)
	case formList:
		for i, item := range n.Items() {
			own, ok := item.Get("name").Scalar()
			if !ok {
				own = strconv.Itoa(i)
			}
			element := reflect.New(v.Type().Elem()).Elem()
			l.value(element, item, name+"_"+envName(own), append(slices.Clone(path), step{index: i}))
		}
	case formMap:
		// Keys of the file may hold characters that variables cannot; entries of a map of mappings are not settable.
		if formOf(v.Type().Elem()) != formScalar {
			return
		}
		for _, e := range n.Entries() {
			own, _ := e.Key.Scalar()
			l.found = append(l.found, setting{name + "_" + envName(own), append(slices.Clone(path), step{key: own}), formScalar})
		}
		l.found = append(l.found, setting{name, path, f})
	default:
		l.found = append(l.found, setting{name, path, f})
	}
}
