package sigma

import (
	"cmp"
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
	dict    *ecs.Dictionary
	fields  map[string]string
	product string            // Of the log source.
	names   map[string]string // Of the log source's category, before the taxonomy.
	written int               // Bytes of condition so far, with those of parts of parts.
}

// maxWritten bounds the text that one rule is turned into while it is put
// together. A condition can name each search many times, and each of its values
// can stand for many, so that the text is a product of what the file says.
const maxWritten = 1 << 20

// write counts bytes of condition.
func (t *translator) write(bytes int) error {
	if t.written += bytes; t.written > maxWritten {
		return fmt.Errorf("the rule comes to more than %d bytes of condition, too many with this part: name fewer searches in the condition, or give them fewer values", maxWritten)
	}
	return nil
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
	if !total {
		return expression{text: text}
	}
	if !regexp.MustCompile(`^\w+\([^()]*\)$`).MatchString(text) {
		text = "(" + text + ")" // ?? binds tighter than a comparison.
	}
	return expression{text: "(" + text + " ?? false)"}
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
	if name == "" && len(modifiers) > 0 {
		name = "Message"
	}
	subject, err := t.subject(name)
	if err != nil {
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
	if texts, ok := m.texts(subject, values); ok && !m.all { // All in one comparison.
		part, err := t.anyOf(subject, m, texts, total)
		if err != nil {
			return part, e.Value.Errorf("%s: %s", key, err)
		}
		parts, values = append(parts, part), nil
	}
	for _, v := range values {
		part, err := t.value(subject, m, v, total)
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
	target := cmp.Or(t.fields[name], t.names[name], fieldNames()[name])
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

// subject is what a comparison looks at: a field of the dictionary, the record
// of the Windows event log, or the first of both that is there.
type subject struct {
	kind  ecs.Kind
	name  string // In the dictionary; "" for none.
	raw   string // vendor(…); "" for none.
	array bool
	exact bool // The record comes first.
}

// subject finds out where the value of a field is. Records of the Windows event
// log keep what ECS has no name for, and of sources that are not about agents
// all, as the vendor's own fields.
func (t *translator) subject(name string) (subject, error) {
	id, target, err := t.field(name)
	if t.product != "windows" || err == nil && t.fields[name] != "" {
		if err != nil {
			return subject{}, err
		}
		return subject{kind: t.dict.Field(id).Kind, name: target, array: t.dict.Field(id).Array}, nil
	}
	if err != nil {
		if strings.Contains(name, ".") && t.dict.IsObject(name[:strings.IndexByte(name, '.')]) {
			return subject{}, err // A mistake in a name of ECS.
		}
		s := subject{kind: ecs.String, raw: vendorField(name), exact: slices.Contains(exact(), name)}
		if also := consumed()[name]; also != "" {
			if id, ok := t.dict.Lookup(also); ok {
				s.name, s.array = also, t.dict.Field(id).Array
			}
		}
		return s, nil
	}
	s := subject{kind: t.dict.Field(id).Kind, name: target, array: t.dict.Field(id).Array, exact: slices.Contains(exact(), name)}
	if name != "EventID" && name != target && name != "Message" {
		s.raw = vendorField(name)
	}
	return s, nil
}

// compare writes a comparison of the subject. Of a list each value is compared,
// which a default of the list itself would lose.
func (s *subject) compare(total bool, write func(of string) string) expression {
	switch {
	case s.raw == "":
		return known(write(s.name), total)
	case s.name == "":
		return known(write(s.raw), total)
	case s.array:
		return s.either(write(s.name), write(s.raw), total)
	case s.exact:
		return known(write("("+s.raw+" ?? "+s.name+")"), total)
	}
	return known(write("("+s.name+" ?? "+s.raw+")"), total)
}

// either writes a comparison with the record where the field is missing.
func (s *subject) either(field, raw string, total bool) expression {
	text := "(" + field + ") ?? (" + raw + ")"
	if total {
		text += " ?? false"
	}
	return expression{text: "(" + text + ")"}
}

// missing writes that the field is, or is not, there.
func (s *subject) missing(want bool) expression {
	var parts []expression
	for _, name := range []string{s.name, s.raw} {
		if name != "" {
			parts = append(parts, expression{text: "has(" + name + ")"})
		}
	}
	x := join("or", parts)
	if !want {
		return x
	}
	return expression{text: "not " + (expression{text: x.text, joint: x.joint}).inside("not")}
}

// texts returns the values as texts where all can be compared as patterns.
func (m *modifiers) texts(s subject, values []strict.Node) ([]string, bool) {
	if s.kind != ecs.String || m.exists || m.fieldref || m.re || m.compare != "" {
		return nil, false
	}
	var list []string
	for _, v := range values {
		text, ok := v.Scalar()
		if !ok || v.Kind() == strict.Null {
			return nil, false
		}
		list = append(list, text)
	}
	return list, true
}

// anyOf compares a text with the patterns, or networks, of several values.
func (t *translator) anyOf(s subject, m modifiers, values []string, total bool) (expression, error) {
	if m.cidr {
		for _, v := range values {
			if _, err := netip.ParsePrefix(v); err != nil {
				return expression{}, err
			}
		}
		return s.compare(total || m.neq, func(of string) string { return call("cidrMatch", of, values...) }), nil
	}
	var all []string
	for _, v := range values {
		patterns, err := m.patterns(v)
		for i := 0; err == nil && i < len(patterns); i++ {
			err = t.write(len(patterns[i]))
		}
		if err != nil {
			return expression{}, err
		}
		all = append(all, patterns...)
	}
	return s.compare(total || m.neq, func(of string) string { return compareText(of, m, slices.Clone(all)) }), nil
}

// value translates one comparison.
func (t *translator) value(s subject, m modifiers, v strict.Node, total bool) (expression, error) {
	total = total || m.neq
	if m.exists {
		want, _ := v.Scalar()
		if want != "true" && want != "false" {
			return expression{}, fmt.Errorf("exists is true or false, found %s", v.Describe())
		}
		return s.missing(want == "false"), nil
	}
	if v.Kind() == strict.Null {
		return s.missing(true), nil
	}
	text, ok := v.Scalar()
	if !ok {
		return expression{}, fmt.Errorf("expected a value, found %s", v.Describe())
	}
	if m.fieldref {
		return t.reference(s, m, text, total)
	}
	switch s.kind {
	case ecs.Int, ecs.Float:
		if _, err := strconv.ParseFloat(text, 64); err != nil || m.shape != "" || m.re || m.cidr || len(m.encodings) > 0 {
			return expression{}, fmt.Errorf("%s is a number, and %q is not compared as one", s.name, text)
		}
		if m.compare == "" && s.raw != "" {
			return s.either(s.name+" == "+text, s.raw+" == "+strconv.Quote(text), total), nil
		}
		return known(s.name+" "+m.operator()+" "+text, total), nil
	case ecs.Bool:
		if text = strings.ToLower(text); text != "true" && text != "false" {
			return expression{}, fmt.Errorf("%s is true or false, found %q", s.name, text)
		}
		if s.raw != "" {
			return s.either(s.name+" == "+text, call("like", s.raw, text), total), nil
		}
		return known(s.name+" == "+text, total), nil
	case ecs.String:
	default:
		return expression{}, fmt.Errorf("%s is a %s, which Sigma cannot compare", s.name, s.kind)
	}
	switch {
	case m.compare != "":
		return expression{}, fmt.Errorf("%s is a text, and %s compares numbers", cmp.Or(s.name, s.raw), m.compare)
	case m.re:
		if _, err := regexp.Compile(text); err != nil {
			return expression{}, fmt.Errorf("the pattern is not one of RE2 (look-around and back references are not supported): %w", err)
		}
		if m.flags != "" {
			text = "(?" + m.flags + ")" + text
		}
		return s.compare(total, func(of string) string { return of + " matches " + strconv.Quote(text) }), nil
	}
	return t.anyOf(s, m, []string{text}, total)
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

// reference compares with another field.
func (t *translator) reference(s subject, m modifiers, other string, total bool) (expression, error) {
	o, err := t.subject(other)
	if err != nil {
		return expression{}, err
	}
	if o.kind != s.kind {
		return expression{}, fmt.Errorf("%s and %s are of different types", cmp.Or(s.name, s.raw), cmp.Or(o.name, o.raw))
	}
	if s.kind != ecs.String {
		return known(s.name+" "+m.operator()+" "+o.name, total), nil
	}
	if m.compare != "" {
		return expression{}, fmt.Errorf("%s is a text, and %s compares numbers", cmp.Or(s.name, s.raw), m.compare)
	}
	op := map[string]string{"": "==", "contains": "contains", "startswith": "startsWith", "endswith": "endsWith"}[m.shape]
	return s.compare(total, func(left string) string {
		return o.compare(false, func(right string) string {
			if m.cased {
				return left + " " + op + " " + right
			}
			return "lower(" + left + ") " + op + " lower(" + right + ")"
		}).text
	}), nil
}
