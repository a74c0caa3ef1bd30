package avrojson

import (
	"fmt"
	"strings"

	"github.com/twmb/avro"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// kind says how a value is read and written.
type kind uint8

const (
	null kind = iota
	boolean
	integer // int and long, which are encoded alike
	float
	double
	bytes
	text
	record
	enum
	array
	mapping
	union
	fixed
	date
	timeMillis
	timeMicros
	instant      // long, RFC 3339 in UTC
	localInstant // long, RFC 3339 without a zone
	decimal
	fixedDecimal
	fixedUUID
	duration
)

// node is a schema, or a part of one.
type node struct {
	kind   kind
	keys   []string // of a record: the keys in JSON with colons; of an enum: the symbols in JSON
	parts  []*node  // of a record its fields, of a union its branches, of an array or map its one element
	size   int      // of a fixed
	scale  int      // of a decimal
	second int64    // units of a time in a second
	layout string   // of an instant
}

// Plan is a compiled schema. It is immutable and safe for concurrent use.
type Plan struct{ root *node }

// maxScale bounds the digits after the point of a decimal.
const maxScale = 500

// Compile returns the plan of the last of the schemas, whose names those before
// it define: each after those that it refers to.
func Compile(schemas ...string) (*Plan, error) {
	var known avro.SchemaCache
	c := compiler{named: map[string]*node{}}
	plan := &Plan{}
	for _, s := range schemas {
		// Names that other languages permit do no harm in JSON.
		parsed, err := known.Parse(s, avro.WithLaxNames(nil))
		if err != nil {
			return nil, fmt.Errorf("reading schema: %w", err)
		}
		if plan.root, err = c.node(parsed.Root(), ""); err != nil {
			return nil, fmt.Errorf("reading schema: %w", err)
		}
	}
	if plan.root == nil {
		return nil, fmt.Errorf("reading schema: expected a schema, found none")
	}
	return plan, nil
}

// compiler holds the named types that were met.
type compiler struct{ named map[string]*node }

// node compiles a schema inside a namespace.
func (c *compiler) node(s *avro.SchemaNode, space string) (*node, error) {
	switch s.Type {
	case "null":
		return &node{kind: null}, nil
	case "boolean":
		return &node{kind: boolean}, nil
	case "int", "long":
		return integerOf(s), nil
	case "float":
		return &node{kind: float}, nil
	case "double":
		return &node{kind: double}, nil
	case "string":
		return &node{kind: text}, nil
	case "bytes":
		if s.LogicalType == "decimal" {
			return decimalOf(s, &node{kind: decimal})
		}
		return &node{kind: bytes}, nil
	case "array":
		return c.container(array, s.Items, space)
	case "map":
		return c.container(mapping, s.Values, space)
	case "union":
		n := &node{kind: union}
		for i := range s.Branches {
			part, err := c.node(&s.Branches[i], space)
			if err != nil {
				return nil, err
			}
			n.parts = append(n.parts, part)
		}
		return n, nil
	case "record", "error", "enum", "fixed":
		return c.define(s)
	}
	if n, ok := c.named[s.Type]; ok {
		return n, nil
	}
	if n, ok := c.named[join(space, s.Type)]; ok {
		return n, nil
	}
	return nil, fmt.Errorf("unknown type %q", s.Type)
}

func (c *compiler) container(k kind, of *avro.SchemaNode, space string) (*node, error) {
	part, err := c.node(of, space)
	return &node{kind: k, parts: []*node{part}}, err
}

// define compiles a named type. It is known before its fields are, which may
// refer to it.
func (c *compiler) define(s *avro.SchemaNode) (*node, error) {
	name, space := s.Name, s.Namespace
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		space = name[:i]
	} else {
		name = join(space, name)
	}
	n := &node{}
	c.named[name] = n
	switch s.Type {
	case "fixed":
		return fixedOf(s, n)
	case "enum":
		n.kind = enum
		for _, symbol := range s.Symbols {
			n.keys = append(n.keys, string(appendText(nil, []byte(symbol))))
		}
		return n, nil
	}
	n.kind = record
	for i := range s.Fields {
		part, err := c.node(&s.Fields[i].Type, space)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", s.Fields[i].Name, err)
		}
		n.keys = append(n.keys, string(appendText(nil, []byte(s.Fields[i].Name)))+":")
		n.parts = append(n.parts, part)
	}
	return n, nil
}

func join(space, name string) string {
	if space == "" {
		return name
	}
	return space + "." + name
}

// integerOf returns the node of an int or long. A logical type that the other of
// the two has is none.
func integerOf(s *avro.SchemaNode) *node {
	long := s.Type == "long"
	switch {
	case s.LogicalType == "date" && !long:
		return &node{kind: date}
	case s.LogicalType == "time-millis" && !long:
		return &node{kind: timeMillis, second: 1e3}
	case s.LogicalType == "time-micros" && long:
		return &node{kind: timeMicros, second: 1e6}
	case !long:
		return &node{kind: integer}
	}
	unit, local := strings.CutPrefix(s.LogicalType, "local-")
	n := &node{kind: instant}
	if local {
		n.kind = localInstant
	}
	switch unit {
	case "timestamp-millis":
		n.second, n.layout = 1e3, "2006-01-02T15:04:05.000"
	case "timestamp-micros":
		n.second, n.layout = 1e6, "2006-01-02T15:04:05.000000"
	case "timestamp-nanos":
		n.second, n.layout = 1e9, "2006-01-02T15:04:05.000000000"
	default:
		n.kind = integer
	}
	return n
}

func decimalOf(s *avro.SchemaNode, n *node) (*node, error) {
	if s.Scale < 0 || s.Scale > maxScale {
		return nil, fmt.Errorf("decimal: expected a scale of 0 to %d, found %d", maxScale, s.Scale)
	}
	n.scale = s.Scale
	return n, nil
}

func fixedOf(s *avro.SchemaNode, n *node) (*node, error) {
	n.kind, n.size = fixed, s.Size
	switch {
	case s.LogicalType == "decimal":
		n.kind = fixedDecimal
		return decimalOf(s, n)
	case s.LogicalType == "uuid" && s.Size == 16:
		n.kind = fixedUUID
	case s.LogicalType == "duration" && s.Size == 12:
		n.kind = duration
	}
	return n, nil
}

func appendText(dst, b []byte) []byte {
	v := event.String(event.View(b))
	return v.AppendJSON(dst)
}
