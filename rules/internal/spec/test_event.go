package spec

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// CheckTests reports what the tests of a rule have wrong against the
// dictionary, and a production rule that is not tested both ways.
func CheckTests(c *Checker, h *Header, dict *ecs.Dictionary) {
	positive, negative := false, false
	for i := range h.Tests {
		t := &h.Tests[i]
		positive, negative = positive || t.Positive(), negative || !t.Positive()
		for _, e := range t.Events {
			checkSet(c, e.Set, dict)
		}
		for _, f := range t.Fleet {
			checkSet(c, f.Set, dict)
		}
		for _, x := range t.Expect {
			if x.Where.Value != "" {
				_, problems, _ := expression.Compile(x.Where, dict)
				c.Report(problems, nil)
			}
		}
	}
	if h.Maturity == "production" && len(h.Tests) > 0 && (!positive || !negative) {
		c.Problem("tests", "a production rule needs a test that expects an alert and one that expects none", "")
	}
}

// checkSet checks the names and values of a test's event.
func checkSet(c *Checker, set map[string]strict.Node, dict *ecs.Dictionary) {
	e := event.New(dict)
	for name, n := range set {
		if err := SetField(e, name, n, 1); err != nil {
			c.Report([]strict.Problem{n.Problem("%s", err.Error())}, nil)
			continue
		}
		checkWord(c, name, n, dict)
	}
}

// SetField sets a field from a test.
func SetField(e *event.Event, name string, n strict.Node, number int) error {
	dict := e.Dictionary()
	id, ok := dict.Lookup(name)
	if root, rest, dotted := strings.Cut(name, "."); !ok && dotted && flattened(dict, root) {
		text, scalar := n.Scalar()
		if !scalar {
			return fmt.Errorf("field %s: expected a single value, found %s", name, n.Describe())
		}
		e.SetVendor(root)
		e.Extra(rest, string(event.AppendString(nil, strings.ReplaceAll(text, "{n}", strconv.Itoa(number)))))
		return nil
	}
	if !ok {
		if near, ok := strict.Nearest(name, dict.Names()); ok {
			return fmt.Errorf("unknown field %q (did you mean %q?)", name, near)
		}
		return fmt.Errorf("unknown field %q", name)
	}
	fill := func(s string) string { return strings.ReplaceAll(s, "{n}", strconv.Itoa(number)) }
	s, scalar := n.Scalar()
	if n.Kind() == strict.List && dict.Field(id).Kind == ecs.String {
		var list []string
		for _, item := range n.Items() {
			text, ok := item.Scalar()
			if !ok {
				return fmt.Errorf("field %s: expected a list of strings", name)
			}
			list = append(list, fill(text))
		}
		e.Set(id, event.StringList(list))
		return nil
	}
	if !scalar {
		return fmt.Errorf("field %s: expected a single value, found %s", name, n.Describe())
	}
	v, err := parseValue(dict.Field(id).Kind, fill(s))
	if err != nil {
		return fmt.Errorf("field %s: %w", name, err)
	}
	e.Set(id, v)
	return nil
}

// checkWord warns of a test that sets a word which no event has.
func checkWord(c *Checker, name string, n strict.Node, dict *ecs.Dictionary) {
	id, ok := dict.Lookup(name)
	word, scalar := n.Scalar()
	words := expression.Vocabulary(id)
	if !ok || !scalar || len(words) == 0 || slices.Contains(words, word) || strings.Contains(word, "{n}") {
		return
	}
	p := n.Problem("%q is not a value of %s, so no event looks like this one of a test", word, name)
	if near, ok := strict.Nearest(word, words); ok {
		p.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	c.Report(nil, []strict.Problem{p})
}

// flattened reports whether a name is the root of a vendor's own fields.
func flattened(dict *ecs.Dictionary, root string) bool {
	id, ok := dict.Lookup(root)
	return ok && dict.Field(id).Kind == ecs.JSON
}

func parseValue(kind ecs.Kind, s string) (event.Value, error) {
	switch kind {
	case ecs.String:
		return event.String(s), nil
	case ecs.Int:
		n, err := strconv.ParseInt(s, 10, 64)
		return event.Int(n), asError(err, "an integer", s)
	case ecs.Float:
		f, err := strconv.ParseFloat(s, 64)
		return event.Float(f), asError(err, "a number", s)
	case ecs.Bool:
		b, err := strconv.ParseBool(s)
		return event.Bool(b), asError(err, "true or false", s)
	case ecs.Time:
		t, err := time.Parse(time.RFC3339Nano, s)
		return event.Time(t.UnixNano()), asError(err, "a time", s)
	default:
		return event.Value{}, errors.New("objects cannot be set in a test")
	}
}

func asError(err error, want, found string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("expected %s, found %q", want, found)
}
