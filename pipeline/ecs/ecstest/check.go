// Package ecstest holds documents against the ECS dictionary, for the tests of
// whatever makes documents: mappings and rules.
package ecstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// Problem is one thing in a document that is not valid under the dictionary.
type Problem struct {
	Field string // dotted; "" for the document as a whole
	Text  string // what was expected and what was found
}

// String returns the problem on one line.
func (p Problem) String() string {
	if p.Field == "" {
		return p.Text
	}
	return p.Field + ": " + p.Text
}

// Checker holds documents against a dictionary. It is immutable: safe for
// concurrent use.
type Checker struct {
	dict   *ecs.Dictionary
	values *ecs.Values
	roots  []string
}

// NewChecker returns a checker. Below the given roots, the vendors' own
// top-level objects, every name is allowed; a name that the dictionary knows
// must have its type there, too.
func NewChecker(dict *ecs.Dictionary, roots ...string) (*Checker, error) {
	values, err := ecs.NewValues()
	if err != nil {
		return nil, err
	}
	return &Checker{dict, values, roots}, nil
}

// maxFlattenedDepth is the depth_limit of Elasticsearch's flattened type.
const maxFlattenedDepth = 20

// Check returns what is wrong with a document of nested ECS JSON, in the order
// of the document: names that the dictionary does not know, dotted
// and repeated keys, values that do not have the field's type or that its
// vocabulary does not hold, single values where ECS wants arrays and arrays
// where it does not, and event.type values that ECS expects under none of the
// document's categories. @timestamp and ecs.version must be there.
func (c *Checker) Check(doc []byte) []Problem {
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	run := &checking{Checker: c, decoder: decoder}
	root, err := run.value("")
	switch {
	case err != nil:
		run.report("", "expected JSON, found %v", err)
	case decoder.More():
		run.report("", "expected one JSON document, found text behind it")
	}
	members, ok := root.(object)
	if err == nil && !ok {
		run.report("", "expected an object, found %s", describe(root))
	}
	run.object("", members, false)
	if err == nil && ok {
		run.required()
	}
	return run.problems
}

// checking is the state of one Check.
type checking struct {
	*Checker
	decoder         *json.Decoder
	problems        []Problem
	timestamp       bool
	version         bool
	category, types []string
}

func (c *checking) report(field, format string, args ...any) {
	c.problems = append(c.problems, Problem{field, fmt.Sprintf(format, args...)})
}

// object is a JSON object with its members in order.
type object []member

type member struct {
	name  string
	value any
}

// value reads one JSON value and reports keys that stand twice in an object,
// which Elasticsearch refuses.
func (c *checking) value(path string) (any, error) {
	token, err := c.decoder.Token()
	if err != nil {
		return nil, err
	}
	delimiter, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if delimiter == '[' {
		list := []any{}
		for c.decoder.More() {
			v, err := c.value(path)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = c.decoder.Token()
		return list, err
	}
	members := object{}
	seen := map[string]bool{}
	for c.decoder.More() {
		key, err := c.decoder.Token()
		if err != nil {
			return nil, err
		}
		name := key.(string) // The decoder accepts nothing else as a key.
		inner := join(path, name)
		if seen[name] {
			c.report(inner, "expected once, found a second time")
		}
		seen[name] = true
		v, err := c.value(inner)
		if err != nil {
			return nil, err
		}
		members = append(members, member{name, v})
	}
	_, err = c.decoder.Token()
	return members, err
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// object checks the members of an object; own says that it stands below a
// vendor's root.
func (c *checking) object(path string, members object, own bool) {
	for _, m := range members {
		name := join(path, m.name)
		own := own || path == "" && slices.Contains(c.roots, m.name)
		id, known := c.dict.Lookup(name)
		inner, isObject := m.value.(object)
		switch {
		case strings.Contains(m.name, ".") && !own:
			c.report(name, "expected nested objects, found a dotted key")
		case known && (c.dict.Layout().Place(id).Leaf || !isObject):
			c.field(c.dict.Field(id), m.value)
		case isObject && (own || c.dict.IsObject(name)):
			c.object(name, inner, own)
		case c.dict.IsObject(name) && !own:
			c.report(name, "expected an object, found %s", describe(m.value))
		case !own:
			c.report(name, "no such field")
		}
	}
}

// field checks the value of a field of the dictionary.
func (c *checking) field(f *ecs.Field, value any) {
	list, isList := value.([]any)
	switch {
	case f.Kind == ecs.JSON:
		c.fragment(f, value)
		return
	case isList && !f.Array:
		c.report(f.Name, "expected one value, found a list")
		return
	case !isList && f.Array:
		c.report(f.Name, "expected a list, found %s", describe(value))
		list = []any{value}
	case !isList:
		list = []any{value}
	case len(list) == 0:
		c.report(f.Name, "expected a value or no field, found an empty list")
	}
	for _, v := range list {
		c.scalar(f, v)
	}
}

func (c *checking) scalar(f *ecs.Field, value any) {
	text, isText := value.(string)
	number, isNumber := value.(json.Number)
	fits, expected := false, f.Type
	switch {
	case f.Type == "ip":
		_, err := netip.ParseAddr(text)
		fits, expected = isText && err == nil, "an IP address"
	case f.Kind == ecs.String:
		fits, expected = isText && text != "", "a text"
	case f.Kind == ecs.Int:
		fits, expected = isNumber && isInteger(number, f.Type), "a number of type "+f.Type
	case f.Kind == ecs.Float:
		x, err := number.Float64()
		fits, expected = isNumber && err == nil && !math.IsInf(x, 0), "a number"
	case f.Kind == ecs.Bool:
		_, fits = value.(bool)
		expected = "true or false"
	case f.Kind == ecs.Time:
		_, err := time.Parse(time.RFC3339Nano, text)
		fits, expected = isText && err == nil, "a time in RFC 3339"
	}
	if !fits {
		c.report(f.Name, "expected %s, found %s", expected, describe(value))
		return
	}
	if words := c.values.Of(f.Name); words != nil && !slices.Contains(words, text) {
		c.report(f.Name, "expected one of %s, found %q", strings.Join(words, ", "), text)
	}
	if pattern := c.values.Pattern(f.Name); pattern != nil && !pattern.MatchString(text) {
		c.report(f.Name, "expected a text like %s, found %q", pattern, text)
	}
	switch f.Name {
	case "@timestamp":
		c.timestamp = true
	case "ecs.version":
		c.version = true
	case "event.category":
		c.category = append(c.category, text)
	case "event.type":
		c.types = append(c.types, text)
	}
}

// isInteger reports whether a number fits an integer type of Elasticsearch.
func isInteger(n json.Number, typ string) bool {
	size := 64
	switch typ {
	case "integer":
		size = 32
	case "short":
		size = 16
	case "byte":
		size = 8
	case "unsigned_long":
		_, err := strconv.ParseUint(n.String(), 10, 64)
		return err == nil
	}
	_, err := strconv.ParseInt(n.String(), 10, size)
	return err == nil
}

// fragment checks a field that holds JSON of its own: an object, or, for
// nested and plain objects, a list of them.
func (c *checking) fragment(f *ecs.Field, value any) {
	list, isList := value.([]any)
	if !isList {
		list = []any{value}
	}
	for _, v := range list {
		members, isObject := v.(object)
		switch {
		case !isObject:
			c.report(f.Name, "expected an object, found %s", describe(v))
		case f.Type == "flattened" && depth(members) > maxFlattenedDepth:
			c.report(f.Name, "expected at most %d levels, found %d", maxFlattenedDepth, depth(members))
		}
	}
}

// depth is how many levels of objects and lists there are.
func depth(value any) int {
	deepest := 0
	switch v := value.(type) {
	case object:
		for _, m := range v {
			deepest = max(deepest, depth(m.value))
		}
	case []any:
		for _, item := range v {
			deepest = max(deepest, depth(item))
		}
	default:
		return 0
	}
	return deepest + 1
}

// required checks what concerns the document as a whole.
func (c *checking) required() {
	if !c.timestamp {
		c.report("@timestamp", "expected in every document")
	}
	if !c.version {
		c.report("ecs.version", "expected in every document")
	}
	if len(c.category) == 0 {
		return
	}
	for _, typ := range c.types {
		if !slices.ContainsFunc(c.category, func(category string) bool { return c.values.Expects(category, typ) }) {
			c.report("event.type", "expected a type of %s, found %q", strings.Join(c.category, ", "), typ)
		}
	}
	for _, category := range c.category {
		if !slices.ContainsFunc(c.types, func(typ string) bool { return c.values.Expects(category, typ) }) {
			c.report("event.type", "expected at least one type of %s, found %s", category, strings.Join(c.types, ", "))
		}
	}
}

func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case object:
		return "an object"
	case []any:
		return "a list"
	case string:
		if len(v) > 80 {
			v = v[:80] + "…"
		}
		return strconv.Quote(v)
	default:
		return fmt.Sprint(v)
	}
}
