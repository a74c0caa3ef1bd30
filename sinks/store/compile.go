package store

import (
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// column returns the column of docs that holds a field, for the short names of
// a search and for the dictionary's fields that are columns.
func column(field string) (name string, ok bool) {
	switch field {
	case "id", "event.id":
		return "d.id", true
	case "action", "event.action":
		return "d.action", true
	case "host":
		return "d.host", true
	case "agent":
		return "d.agent", true
	case "severity", "edr.alert.severity":
		return "d.severity", true
	case "kind", "edr.alert.kind":
		return "d.kind", true
	case "status", "edr.alert.status":
		return "d.status", true
	case "edr.alert.id":
		return "d.alert_id", true
	}
	return "", false
}

func shortNames() []string {
	return []string{"id", "action", "host", "agent", "severity", "kind", "status", "rule", "stream"}
}

// textCompiler turns a parsed search into SQL.
type textCompiler struct {
	*parser
	dict  *ecs.Dictionary
	roots []string
}

func (s *Store) compileText(text string) (condition, error) {
	n, err := parseText(text)
	if err != nil {
		return condition{}, err
	}
	c := textCompiler{parser: &parser{text: text}, dict: s.dict, roots: s.set.VendorRoots}
	return c.node(n)
}

func (c *textCompiler) node(n *node) (condition, error) {
	if n.kind == termNode {
		return c.leaf(n)
	}
	var result condition
	for i, kid := range n.kids {
		k, err := c.node(kid)
		if err != nil {
			return condition{}, err
		}
		switch {
		case n.kind == notNode:
			// What is absent is not equal to anything: NOT field:x finds
			// documents without the field, as in Lucene.
			return condition{"NOT coalesce((" + k.text + "), 0)", k.args}, nil
		case i == 0:
			result = k
		case n.kind == andNode:
			result = result.and(k)
		default:
			result = result.or(k)
		}
	}
	return result, nil
}

func (c *textCompiler) leaf(n *node) (condition, error) {
	if n.field == "" {
		return freeWord(n.value), nil
	}
	switch n.field {
	case "rule", "edr.rules":
		if err := c.onlyEqual(n, "rule ids"); err != nil {
			return condition{}, err
		}
		if n.value.all() {
			return condition{text: "d.rules <> ''"}, nil
		}
		return ruleCondition(n.value.like()), nil
	case "stream":
		return c.stream(n)
	case "@timestamp":
		return c.timestamp(n)
	}
	if name, ok := column(n.field); ok {
		if strings.HasSuffix(name, "severity") && n.op != ":" {
			return c.severity(n, name)
		}
		return c.text(n, name, nil)
	}
	return c.field(n)
}

// freeWord finds text in the values of a document. The first half is fast and
// also finds names of fields; the second, on what is left, looks at values only.
func freeWord(w word) condition {
	pattern := "%" + w.like() + "%"
	escaped := event.AppendString(nil, w.text)
	inJSON := w
	if plain := string(escaped[1 : len(escaped)-1]); plain != w.text {
		// What JSON escapes cannot be found in the text by itself.
		return condition{`EXISTS (SELECT 1 FROM json_tree(d.body) WHERE atom IS NOT NULL AND atom LIKE ? ESCAPE '\')`, []any{pattern}}
	}
	return condition{`d.body LIKE ? ESCAPE '\' AND EXISTS (SELECT 1 FROM json_tree(d.body) WHERE atom IS NOT NULL AND atom LIKE ? ESCAPE '\')`,
		[]any{"%" + inJSON.like() + "%", pattern}}
}

// text compares text: equal or by pattern, without regard to case (of ASCII).
func (c *textCompiler) text(n *node, sql string, args []any) (condition, error) {
	switch {
	case n.op != ":":
		return condition{"(" + sql + ") " + string(n.op) + " ? COLLATE NOCASE", append(args, n.value.text)}, nil
	case n.value.all():
		return condition{"(" + sql + ") <> ''", args}, nil
	case len(n.value.stars) > 0:
		return condition{"(" + sql + `) LIKE ? ESCAPE '\'`, append(args, n.value.like())}, nil
	}
	return condition{"(" + sql + ") = ? COLLATE NOCASE", append(args, n.value.text)}, nil
}

// field compares a field of the body.
func (c *textCompiler) field(n *node) (condition, error) {
	id, known := c.dict.Lookup(n.field)
	if !known {
		return c.untyped(n)
	}
	f := c.dict.Field(id)
	path := jsonPath(n.field)
	const extract = "json_extract(d.body, ?)"
	if n.value.all() && n.op == ":" {
		return condition{extract + " IS NOT NULL", []any{path}}, nil
	}
	value, args := extract, []any{path}
	if f.Array {
		value, args = "value", nil
	}
	var result condition
	var err error
	switch f.Kind {
	case ecs.Int, ecs.Float:
		result, err = c.number(n, value, args)
	case ecs.Bool:
		result, err = c.boolean(n, value, args)
	case ecs.Time:
		result, err = c.moment(n, value, args)
	default:
		result, err = c.text(n, value, args)
	}
	if err != nil || !f.Array {
		return c.narrow(n, result), err
	}
	return condition{"EXISTS (SELECT 1 FROM json_each(d.body, ?) WHERE " + result.text + ")", append([]any{path}, result.args...)}, nil
}

// narrow adds what the columns know: where a host has a name, it is in the
// indexed column as well.
func (c *textCompiler) narrow(n *node, result condition) condition {
	if n.op != ":" || len(n.value.stars) > 0 {
		return result
	}
	switch n.field {
	case "host.name":
		return condition{"d.host = ?", []any{n.value.text}}.and(result)
	case "agent.id":
		return condition{"d.agent = ?", []any{n.value.text}}
	}
	return result
}

// untyped compares a field below a vendor's root or below an object field.
func (c *textCompiler) untyped(n *node) (condition, error) {
	for i := range len(n.field) {
		if n.field[i] != '.' {
			continue
		}
		prefix := n.field[:i]
		id, ok := c.dict.Lookup(prefix)
		if ok = ok && c.dict.Field(id).Kind == ecs.JSON; !ok && !c.isRoot(prefix) {
			continue
		}
		if path := jsonPath(n.field); n.value.all() {
			return condition{"json_extract(d.body, ?) IS NOT NULL", []any{path}}, nil
		} else if _, err := strconv.ParseFloat(n.value.text, 64); err == nil && n.op != ":" {
			return c.number(n, "json_extract(d.body, ?)", []any{path})
		} else {
			return c.text(n, "CAST(json_extract(d.body, ?) AS TEXT)", []any{path})
		}
	}
	hint := `to search for text with a colon, put it in quotes`
	near, ok := strict.Nearest(n.field, append(shortNames(), c.dict.Names()...))
	if c.dict.IsObject(n.field) {
		hint = "it is a level above fields, such as " + c.below(n.field) + "; " + hint
	} else if ok {
		hint = "did you mean " + near + "?"
	}
	return condition{}, c.fail(n.at, "unknown field %q: %s", n.field, hint)
}

func (c *textCompiler) isRoot(name string) bool {
	for _, root := range c.roots {
		if root == name {
			return true
		}
	}
	return false
}

// below returns the alphabetically first field below an object.
func (c *textCompiler) below(object string) string {
	for _, name := range c.dict.Names() {
		if strings.HasPrefix(name, object+".") {
			return name
		}
	}
	return object
}

func (c *textCompiler) number(n *node, sql string, args []any) (condition, error) {
	f, err := strconv.ParseFloat(n.value.text, 64)
	if err != nil || len(n.value.stars) > 0 {
		return condition{}, c.fail(n.value.at, "expected a number for %s, found %q", n.field, n.value.text)
	}
	return condition{sql + " " + n.op.sql() + " ?", append(args, f)}, nil
}

func (c *textCompiler) boolean(n *node, sql string, args []any) (condition, error) {
	b, err := strconv.ParseBool(strings.ToLower(n.value.text))
	if err != nil || n.op != ":" || len(n.value.stars) > 0 {
		return condition{}, c.fail(n.value.at, "expected true or false for %s, found %q", n.field, n.value.text)
	}
	return condition{sql + " = ?", append(args, b)}, nil
}

// moment compares a time in the body, to the millisecond.
func (c *textCompiler) moment(n *node, sql string, args []any) (condition, error) {
	t, err := c.time(n)
	if err != nil {
		return condition{}, err
	}
	return condition{"round(unixepoch(" + sql + ", 'subsec')*1000) " + n.op.sql() + " ?", append(args, t.UnixMilli())}, nil
}

// timestamp compares the document's own time.
func (c *textCompiler) timestamp(n *node) (condition, error) {
	t, err := c.time(n)
	if err != nil {
		return condition{}, err
	}
	return condition{"d.time " + n.op.sql() + " ?", []any{t.UnixNano()}}, nil
}

func (c *textCompiler) time(n *node) (time.Time, error) {
	if len(n.value.stars) == 0 {
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04", time.DateTime, time.DateOnly} {
			if t, err := time.Parse(layout, n.value.text); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, c.fail(n.value.at, "expected a time such as 2024-07-19T04:09:00Z or 2024-07-19 for %s, found %q", n.field, n.value.text)
}

func (c *textCompiler) severity(n *node, name string) (condition, error) {
	wanted := ecs.SeverityNumber(strings.ToLower(n.value.text))
	if wanted == 0 {
		return condition{}, c.fail(n.value.at, "expected one of %s, found %q", strings.Join(ecs.Severities(), ", "), n.value.text)
	}
	result := condition{text: name + " IN (''"}
	for _, s := range ecs.Severities() {
		number := ecs.SeverityNumber(s)
		above, equal := number > wanted, number == wanted
		if above && n.op[0] == '>' || !above && !equal && n.op[0] == '<' || equal && len(n.op) == 2 {
			result.text += ",?"
			result.args = append(result.args, s)
		}
	}
	result.text += ") AND " + name + " <> ''"
	return result, nil
}

func (c *textCompiler) stream(n *node) (condition, error) {
	if err := c.onlyEqual(n, "streams"); err != nil {
		return condition{}, err
	}
	names := make([]string, 0, 4)
	for _, s := range event.Streams() {
		if strings.EqualFold(s.String(), n.value.text) {
			return streamCondition([]event.Stream{s}), nil
		}
		names = append(names, s.String())
	}
	return condition{}, c.fail(n.value.at, "expected one of %s, found %q", strings.Join(names, ", "), n.value.text)
}

func (c *textCompiler) onlyEqual(n *node, what string) error {
	if n.op == ":" {
		return nil
	}
	return c.fail(n.at, "%s have no order: expected %s:value", what, n.field)
}

// sql returns the operator as SQL writes it.
func (op operator) sql() string {
	if op == ":" {
		return "="
	}
	return string(op)
}

// jsonPath returns the path of a field for SQLite's JSON functions. A name has
// no character that a quoted path would have to escape.
func jsonPath(field string) string {
	return `$."` + strings.ReplaceAll(field, ".", `"."`) + `"`
}
