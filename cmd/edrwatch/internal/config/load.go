package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Loaded is a valid configuration that knows where each of its values comes from.
type Loaded struct {
	Config Config
	root   strict.Node
}

// Made returns a configuration that the program has made itself, such as that of the embedded set-up, so that it can be
// printed. Everything in it is a default.
func Made(cfg Config) *Loaded { return &Loaded{Config: cfg} }

// Load reads a configuration file and the environment, as os.Environ returns it. The error is a *strict.Error with
// everything that is wrong. Without a file, with path "", the environment alone configures edrwatch.
func Load(path string, environ []string) (*Loaded, error) {
	if path == "" {
		return parse(strict.Node{}, resolver{variables: variables(environ)})
	}
	src, err := strict.ReadPath(path)
	if err != nil {
		var system *os.PathError
		if errors.As(err, &system) {
			err = system.Err
		}
		return nil, strict.NewError(strict.Problem{File: path, Message: fmt.Sprintf("reading configuration: %v", err)})
	}
	return Parse(path, src, environ)
}

// Parse does what Load does with the content of a file. The name of the file serves for messages, and its directory for
// relative paths in references.
func Parse(file string, src []byte, environ []string) (*Loaded, error) {
	nodes, err := strict.Parse(file, src)
	if err != nil {
		return nil, err
	}
	r := resolver{variables: variables(environ), directory: filepath.Dir(file)}
	switch len(nodes) {
	case 0:
		return nil, problemWithHint(
			strict.Problem{File: file, Line: 1, Column: 1, Message: "the configuration is empty"},
			"give it at least sources and sinks; without a configuration file edrwatch run starts the embedded evaluation set-up",
		)
	case 1:
		return parse(nodes[0], r)
	}
	return nil, problemWithHint(nodes[1].Problem("expected one document, found %d", len(nodes)), "remove the --- lines")
}

// FromEnvironment reports whether the environment alone configures a gateway: whether it sets anything about a source or
// a sink.
func FromEnvironment(environ []string) bool {
	for name, value := range variables(environ) {
		if value != "" && (strings.HasPrefix(name, prefix+"SOURCES_") || strings.HasPrefix(name, prefix+"SINKS_")) {
			return true
		}
	}
	return false
}

func variables(environ []string) map[string]string {
	out := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		out[name] = value
	}
	return out
}

func parse(root strict.Node, r resolver) (*Loaded, error) {
	if kind := root.Kind(); kind != strict.Mapping && kind != strict.Invalid {
		return nil, root.Errorf("expected a mapping with keys such as sources and sinks, found %s", root.Describe())
	}
	root, failed, unresolved := r.interpolate(root)
	root, unset := overlay(root, Default(), r)
	l := &Loaded{Config: Default(), root: root}
	var misfits error
	if !root.IsZero() {
		misfits = root.Decode(&l.Config)
	}
	found := problems(strict.Merge(unresolved, unset))
	// What could not be replaced does not fit either; one message about it is enough.
	follows := func(p strict.Problem) bool { return failed[place{p.Line, p.Column}] }
	found = append(found, slices.DeleteFunc(problems(misfits), follows)...)
	found = append(found, slices.DeleteFunc(l.validate(found), follows)...)
	if err := strict.NewError(found...); err != nil {
		return nil, err
	}
	return l, nil
}

func problems(err error) []strict.Problem {
	var known *strict.Error
	if errors.As(err, &known) {
		return known.Problems
	}
	return nil
}

// value is a value of the configuration that is written as a scalar or as a list of scalars.
type value struct {
	path  string
	value reflect.Value
	node  strict.Node // Absent when the value is the default.
}

// values returns the values of the configuration in order.
func (l *Loaded) values() []value {
	var out []value
	var walk func(v reflect.Value, n strict.Node, path string)
	walk = func(v reflect.Value, n strict.Node, path string) {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return
			}
			v = v.Elem()
		}
		switch formOf(v.Type()) {
		case formStruct:
			for _, k := range keysOf(v) {
				walk(k.value, n.Get(k.name), strings.TrimPrefix(path+"."+k.name, "."))
			}
		case formList:
			for i := range v.Len() {
				walk(v.Index(i), item(n, i), fmt.Sprintf("%s[%d]", path, i))
			}
		case formMap:
			for _, name := range sortedKeys(v) {
				walk(filled(v.MapIndex(name)), n.Get(fmt.Sprint(name)), path+"."+fmt.Sprint(name))
			}
		default:
			out = append(out, value{path, v, n})
		}
	}
	walk(reflect.ValueOf(&l.Config).Elem(), l.root, "")
	return out
}

func item(n strict.Node, i int) strict.Node {
	if items := n.Items(); i < len(items) {
		return items[i]
	}
	return strict.Node{}
}

func sortedKeys(m reflect.Value) []reflect.Value {
	keys := m.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return keys
}
