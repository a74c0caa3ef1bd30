package sigma

import (
	"fmt"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// correlated is a correlation on its way.
type correlated struct {
	c       *converter
	node    strict.Node // correlation: …
	typ     string
	members []*rule
	bounds  strict.Node // condition: … of it.
	span    string
	b       strings.Builder
}

// correlation translates a correlation over rules of the same file.
func (c *converter) correlation(n strict.Node) (string, error) {
	corr := n.Get("correlation")
	generate := scalar(corr, "generate") == "true" || scalar(n, "generate") == "true"
	members, err := c.members(corr, generate)
	if err != nil {
		return "", err
	}
	x := correlated{c: c, node: corr, typ: scalar(corr, "type"), members: members, bounds: corr.Get("condition"), span: scalar(corr, "timespan")}
	if err := x.groupBy(); err != nil {
		return "", err
	}
	switch x.typ {
	case "event_count":
		fmt.Fprintf(&x.b, "type: threshold\n%swindow: %s\n", x.condition(), x.span)
		err = x.having()
	case "value_count", "value_sum", "value_avg", "value_percentile":
		if err = x.value(); err == nil {
			err = x.having()
		}
	case "temporal", "temporal_ordered":
		err = x.steps()
	default:
		err = corr.Errorf("correlation type %q is not supported", x.typ)
	}
	if err != nil {
		return "", err
	}
	return c.document(n, x.b.String()), nil
}

// members are the rules that a correlation names.
func (c *converter) members(corr strict.Node, generate bool) ([]*rule, error) {
	var members []*rule
	c.written = 0
	for _, name := range texts(corr.Get("rules")) {
		r := c.byName[name]
		if r == nil {
			return nil, corr.Get("rules").Errorf("%q is no rule with a detection in this file: give the files that belong together as one", name)
		}
		r.used = !generate
		if err := c.write(len(r.condition.text)); err != nil {
			return nil, corr.Get("rules").Errorf("%s", err)
		}
		members = append(members, r)
	}
	if len(members) == 0 {
		return nil, corr.Errorf("the correlation names no rules")
	}
	return members, nil
}

// groupBy writes the key; without one all events belong together.
func (x *correlated) groupBy() error {
	keys := texts(x.node.Get("group-by"))
	if len(keys) == 0 {
		x.b.WriteString("group_by: []\nscope: fleet\n")
		return nil
	}
	var names []string
	for _, key := range keys {
		name, err := x.c.shared(x.node, key, x.members)
		if err != nil {
			return x.node.Get("group-by").Errorf("%s", err)
		}
		names = append(names, name)
	}
	fmt.Fprintf(&x.b, "group_by: [%s]\n", strings.Join(names, ", "))
	return nil
}

// condition is that of any of the rules.
func (x *correlated) condition() string {
	var any []expression
	for _, r := range x.members {
		any = append(any, r.condition)
	}
	return "condition: " + quote(join("or", any).text) + "\n"
}

// value writes what is measured of a field.
func (x *correlated) value() error {
	field, err := x.c.shared(x.node, scalar(x.bounds, "field"), x.members)
	if err != nil {
		return x.bounds.Errorf("%s", err)
	}
	if x.typ == "value_count" {
		fmt.Fprintf(&x.b, "type: value_count\nfield: %s\n%swindow: %s\n", field, x.condition(), x.span)
		return nil
	}
	function := map[string]string{"value_sum": "sum", "value_avg": "avg"}[x.typ]
	if function == "" {
		if function = "p" + scalar(x.bounds, "percentile"); function == "p" {
			return x.bounds.Errorf("value_percentile needs a percentile")
		}
	}
	fmt.Fprintf(&x.b, "type: metric\nfunction: %s\nfield: %s\n%swindow: %s\n", function, field, x.condition(), x.span)
	return nil
}

// steps writes a sequence of the rules.
func (x *correlated) steps() error {
	if !x.bounds.IsZero() {
		return x.bounds.Errorf("a condition of a %s correlation is not supported: all of its rules have to match", x.typ)
	}
	x.b.WriteString("type: sequence\n")
	if x.typ == "temporal" {
		x.b.WriteString("ordered: false\n")
	}
	fmt.Fprintf(&x.b, "maxspan: %s\nsteps:\n", x.span)
	for _, r := range x.members {
		fmt.Fprintf(&x.b, "  - {name: %s, condition: %s}\n", quote(scalar(r.node, "title")), quote(r.condition.text))
	}
	return nil
}

// having writes the bounds.
func (x *correlated) having() error {
	var list []string
	for _, e := range x.bounds.Entries() {
		key, _ := e.Key.Scalar()
		switch {
		case slices.Contains([]string{"gt", "gte", "lt", "lte", "eq"}, key):
			value, _ := e.Value.Scalar()
			list = append(list, key+": "+value)
		case key != "field" && key != "percentile":
			return e.Key.Errorf("%s in the condition of a correlation is not supported", key)
		}
	}
	if len(list) == 0 {
		return x.node.Errorf("the correlation needs a condition such as gte: 10")
	}
	fmt.Fprintf(&x.b, "having: {%s}\n", strings.Join(list, ", "))
	return nil
}

// shared finds the field that a name of a correlation stands for. Aliases name
// one for each rule; they have to be one field here, as the user of most
// records is, whatever Windows calls it.
func (c *converter) shared(corr strict.Node, name string, members []*rule) (string, error) {
	alias := corr.Get("aliases").Get(name)
	var found, first string
	for _, r := range members {
		own := name
		for _, e := range alias.Entries() {
			if of, _ := e.Key.Scalar(); c.byName[of] == r {
				own, _ = e.Value.Scalar()
			}
		}
		if own == name && !alias.IsZero() {
			return "", fmt.Errorf("the alias %s does not say what it is in rule %q", name, scalar(r.node, "title"))
		}
		c.names = r.names
		_, field, err := c.field(own)
		if err != nil {
			return "", err
		}
		if found != "" && field != found {
			return "", fmt.Errorf("%s is %s in one rule and %s, by the name %s, in another; rules that are judged together need one field: name it with --field", first, found, field, own)
		}
		found, first = field, own
	}
	return found, nil
}
