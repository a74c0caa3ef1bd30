package sigma

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// expression is a condition in our language, and whether it is a conjunction
// or disjunction that needs parentheses beside other operators.
type expression struct {
	text  string
	joint string // and, or; "" for anything that binds tighter.
}

func (x expression) inside(op string) string {
	if x.joint != "" && x.joint != op {
		return "(" + x.text + ")"
	}
	return x.text
}

func join(op string, parts []expression) expression {
	if len(parts) == 1 {
		return parts[0]
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.inside(op)
	}
	return expression{text: strings.Join(texts, " "+op+" "), joint: op}
}

// translator turns the detections of one rule into expressions.
type translator struct {
	dict   *ecs.Dictionary
	fields map[string]string
}

// search translates a search identifier: a mapping is a conjunction, a list of
// mappings a disjunction, a list of words a search for keywords. Under a not,
// total makes every comparison false where its field is missing.
func (t *translator) search(n strict.Node, total bool) (expression, error) {
	switch n.Kind() {
	case strict.Mapping:
		var parts []expression
		for _, e := range n.Entries() {
			part, err := t.item(e, total)
			if err != nil {
				return part, err
			}
			parts = append(parts, part)
		}
		if len(parts) == 0 {
			return expression{}, n.Errorf("the search is empty")
		}
		return join("and", parts), nil
	case strict.List:
		var parts []expression
		for _, item := range n.Items() {
			var part expression
			var err error
			if item.Kind() == strict.Mapping {
				part, err = t.search(item, total)
			} else {
				part, err = t.keyword(item, total)
			}
			if err != nil {
				return part, err
			}
			parts = append(parts, part)
		}
		if len(parts) == 0 {
			return expression{}, n.Errorf("the search is empty")
		}
		return join("or", parts), nil
	default:
		return t.keyword(n, total)
	}
}

func (t *translator) keyword(n strict.Node, total bool) (expression, error) {
	word, ok := n.Scalar()
	if !ok {
		return expression{}, n.Errorf("expected a search, found %s", n.Describe())
	}
	return known(call("like", "message", "*"+word+"*"), total), nil
}

func known(text string, total bool) expression {
	if total {
		return expression{text: "(" + text + " ?? false)"}
	}
	return expression{text: text}
}

// call writes name(field, "pattern", …).
func call(name, field string, patterns ...string) string {
	quoted := make([]string, len(patterns))
	for i, p := range patterns {
		quoted[i] = strconv.Quote(p)
	}
	return name + "(" + field + ", " + strings.Join(quoted, ", ") + ")"
}

// item translates field|modifier…: value or values.
func (t *translator) item(e strict.Entry, total bool) (expression, error) {
	key, _ := e.Key.Scalar()
	name, rest, _ := strings.Cut(key, "|")
	var modifiers []string
	if rest != "" {
		modifiers = strings.Split(rest, "|")
	}
	m, err := parseModifiers(modifiers)
	if err != nil {
		return expression{}, e.Key.Errorf("%s: %s", key, err)
	}
	field := ecs.ID(0)
	reference := "message"
	if name != "" || len(modifiers) == 0 {
		if field, reference, err = t.field(name); err != nil {
			return expression{}, e.Key.Errorf("%s", err)
		}
	} else if field, reference, err = t.field("Message"); err != nil {
		return expression{}, e.Key.Errorf("%s", err)
	}
	values := []strict.Node{e.Value}
	if e.Value.Kind() == strict.List {
		values = e.Value.Items()
	}
	if len(values) == 0 {
		return expression{}, e.Key.Errorf("%s has no value", key)
	}
	var parts []expression
	for _, v := range values {
		part, err := t.value(field, reference, m, v, total)
		if err != nil {
			return part, v.Errorf("%s: %s", key, err)
		}
		parts = append(parts, part)
	}
	op := "or"
	if m.all {
		op = "and"
	}
	x := join(op, parts)
	if m.neq {
		return expression{text: "not (" + x.text + ")"}, nil
	}
	return x, nil
}

// field finds the field of our dictionary for a name in Sigma.
func (t *translator) field(name string) (ecs.ID, string, error) {
	target := t.fields[name]
	if target == "" {
		target = fieldNames()[name]
	}
	if target == "" {
		target = name
	}
	id, ok := t.dict.Lookup(target)
	if !ok {
		return id, "", fmt.Errorf("the field %s has no counterpart: name one with --field %s=NAME; a vendor's own field has to be declared in a fields file", name, name)
	}
	if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`).MatchString(target) {
		return id, "field(" + strconv.Quote(target) + ")", nil
	}
	return id, target, nil
}

// value translates one comparison.
func (t *translator) value(field ecs.ID, name string, m modifiers, v strict.Node, total bool) (expression, error) {
	total = total || m.neq
	kind := t.dict.Field(field).Kind
	if m.exists {
		want, _ := v.Scalar()
		if want != "true" && want != "false" {
			return expression{}, fmt.Errorf("exists is true or false, found %s", v.Describe())
		}
		if want == "true" {
			return expression{text: "has(" + name + ")"}, nil
		}
		return expression{text: "not has(" + name + ")"}, nil
	}
	if v.Kind() == strict.Null {
		return expression{text: "not has(" + name + ")"}, nil
	}
	text, ok := v.Scalar()
	if !ok {
		return expression{}, fmt.Errorf("expected a value, found %s", v.Describe())
	}
	if m.fieldref {
		return t.reference(name, kind, m, text, total)
	}
	switch kind {
	case ecs.Int, ecs.Float:
		if _, err := strconv.ParseFloat(text, 64); err != nil || m.shape != "" || m.re || m.cidr || len(m.encodings) > 0 {
			return expression{}, fmt.Errorf("%s is a number, and %q is not compared as one", name, text)
		}
		return known(name+" "+m.operator()+" "+text, total), nil
	case ecs.Bool:
		if text = strings.ToLower(text); text != "true" && text != "false" {
			return expression{}, fmt.Errorf("%s is true or false, found %q", name, text)
		}
		return known(name+" == "+text, total), nil
	case ecs.String:
	default:
		return expression{}, fmt.Errorf("%s is a %s, which Sigma cannot compare", name, kind)
	}
	switch {
	case m.compare != "":
		return expression{}, fmt.Errorf("%s is a text, and %s compares numbers", name, m.compare)
	case m.cidr:
		if _, err := netip.ParsePrefix(text); err != nil {
			return expression{}, err
		}
		return known(call("cidrMatch", name, text), total), nil
	case m.re:
		return regular(name, m, text, total)
	}
	patterns, err := m.patterns(text)
	if err != nil {
		return expression{}, err
	}
	return known(compareText(name, m, patterns), total), nil
}

// compareText compares with patterns: like where case does not count.
func compareText(name string, m modifiers, patterns []string) string {
	plain := !slices.ContainsFunc(patterns, func(p string) bool { return wild(p) })
	if plain && (m.cased || !slices.ContainsFunc(patterns, func(p string) bool { return strings.ToLower(p) != strings.ToUpper(p) })) {
		for i := range patterns {
			patterns[i] = strconv.Quote(unescape(patterns[i]))
		}
		if len(patterns) == 1 {
			return name + " == " + patterns[0]
		}
		return name + " in [" + strings.Join(patterns, ", ") + "]"
	}
	if !m.cased {
		return call("like", name, patterns...)
	}
	alternatives := make([]string, len(patterns))
	for i, p := range patterns {
		alternatives[i] = regexOf(p)
	}
	return name + " matches " + strconv.Quote("(?s)^(?:"+strings.Join(alternatives, "|")+")$")
}

func regular(name string, m modifiers, text string, total bool) (expression, error) {
	if _, err := regexp.Compile(text); err != nil {
		return expression{}, fmt.Errorf("the pattern is not one of RE2 (look-around and back references are not supported): %w", err)
	}
	if m.flags != "" {
		text = "(?" + m.flags + ")" + text
	}
	return known(name+" matches "+strconv.Quote(text), total), nil
}

// reference compares with another field.
func (t *translator) reference(name string, kind ecs.Kind, m modifiers, other string, total bool) (expression, error) {
	id, target, err := t.field(other)
	if err != nil {
		return expression{}, err
	}
	if t.dict.Field(id).Kind != kind {
		return expression{}, fmt.Errorf("%s and %s are of different types", name, target)
	}
	if kind != ecs.String {
		return known(name+" "+m.operator()+" "+target, total), nil
	}
	if m.compare != "" {
		return expression{}, fmt.Errorf("%s is a text, and %s compares numbers", name, m.compare)
	}
	if !m.cased {
		name, target = "lower("+name+")", "lower("+target+")"
	}
	op := map[string]string{"": "==", "contains": "contains", "startswith": "startsWith", "endswith": "endsWith"}[m.shape]
	return known(name+" "+op+" "+target, total), nil
}
