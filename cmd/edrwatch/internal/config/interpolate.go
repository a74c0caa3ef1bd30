package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// resolver replaces references to variables and files.
type resolver struct {
	variables map[string]string
	directory string // Where relative paths start.
}

// place is a place in the file.
type place struct{ line, column int }

// interpolate returns the tree with the references in all scalar values replaced, and the places of the scalars that
// stay as they are because of an error.
func (r resolver) interpolate(root strict.Node) (replaced strict.Node, failed map[place]bool, err error) {
	failed = map[place]bool{}
	replaced, err = root.Transform(func(n strict.Node) (strict.Node, error) {
		changed, err := r.scalar(n)
		if err != nil {
			line, column := n.Position()
			failed[place{line, column}] = true
			return n, err
		}
		return changed, nil
	})
	return replaced, failed, err
}

// variable returns the value of one of our variables. Only a reference to a file is replaced in it, and only when it is
// the whole value, because a password may hold any character.
func (r resolver) variable(name, text string) (strict.Node, error) {
	n := strict.NewScalar(name, text)
	file, isFile := strings.CutPrefix(text, "${file:")
	file, isClosed := strings.CutSuffix(file, "}")
	if !isFile || !isClosed {
		return n, nil
	}
	content, path, err := r.file(file)
	var p referenceProblem
	if errors.As(err, &p) {
		return n, problemWithHint(n.Problem("%s", p.message), p.hint)
	}
	return n.WithFile(path, content), nil
}

func (r resolver) scalar(n strict.Node) (strict.Node, error) {
	text := n.Text()
	if !strings.Contains(text.Value, "${") {
		return n, nil
	}
	var out strings.Builder
	var problems []strict.Problem
	for offset := 0; offset < len(text.Value); {
		rest := text.Value[offset:]
		switch {
		case strings.HasPrefix(rest, "$${"):
			out.WriteString("${")
			offset += len("$${")
		case strings.HasPrefix(rest, "${"):
			body, _, closed := strings.Cut(rest[2:], "}")
			if !closed {
				return n, strict.NewError(text.Problem(offset, "reference without end", "close it with }; write $${ for a plain ${"))
			}
			reference := rest[:len(body)+3]
			value, path, err := r.lookUp(body)
			var p referenceProblem
			if errors.As(err, &p) {
				problems = append(problems, text.Problem(offset, p.message, p.hint))
			}
			if path != "" && reference == text.Value {
				return n.WithFile(path, value), nil
			}
			out.WriteString(value)
			offset += len(reference)
		default:
			out.WriteByte(rest[0])
			offset++
		}
	}
	return n.WithText(out.String()), strict.NewError(problems...)
}

// referenceProblem says what is wrong with a reference.
type referenceProblem struct{ message, hint string }

func (p referenceProblem) Error() string { return p.message }

// lookUp returns what stands for the text between ${ and }, and the path when that is the content of a file.
func (r resolver) lookUp(body string) (value, path string, err error) {
	if name, ok := strings.CutPrefix(body, "file:"); ok {
		return r.file(name)
	}
	name, fallback, hasFallback := strings.Cut(body, ":-")
	if !variableName.MatchString(name) {
		return "", "", referenceProblem{
			fmt.Sprintf("%q is not the name of a variable", name),
			"write ${VAR}, ${VAR:-text} or ${file:/path}; write $${ for a plain ${",
		}
	}
	value, defined := r.variables[name]
	switch {
	case value == "" && hasFallback:
		return fallback, "", nil
	case !defined:
		return "", "", referenceProblem{
			fmt.Sprintf("environment variable %s is not set", name),
			fmt.Sprintf("set it, or give a default: ${%s:-text}", name),
		}
	}
	return value, "", nil
}

func (r resolver) file(name string) (value, path string, err error) {
	path = name
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.directory, path)
	}
	content, err := secret.FromFile(path)
	switch {
	case name == "":
		return "", "", referenceProblem{"reference to a file without its path", "write ${file:/path}"}
	case errors.Is(err, fs.ErrNotExist):
		return "", "", referenceProblem{fmt.Sprintf("file %s does not exist", name), ""}
	case errors.Is(err, fs.ErrPermission):
		return "", "", referenceProblem{fmt.Sprintf("file %s may not be read", name), "let this user read it"}
	case err != nil:
		var system *os.PathError
		if errors.As(err, &system) {
			err = system.Err
		}
		return "", "", referenceProblem{fmt.Sprintf("file %s cannot be used: %v", name, err), ""}
	}
	return content.Reveal(), path, nil
}
