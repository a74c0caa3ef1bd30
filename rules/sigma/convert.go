package sigma

import (
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Options shape a conversion.
type Options struct {
	// Dictionary holds the fields that conditions may use.
	Dictionary *ecs.Dictionary
	// Fields maps names of Sigma's fields to ours, before the taxonomy.
	Fields map[string]string
}

// Convert converts all Sigma documents of a file to rule documents in YAML. The
// error is a *strict.Error that lists every document that has no counterpart,
// with the place and the reason; then the result is empty.
func Convert(file string, src []byte, o Options) ([]byte, error) {
	nodes, err := strict.Parse(file, src)
	if err != nil {
		return nil, err
	}
	c := &converter{translator: translator{dict: o.Dictionary, fields: o.Fields}, byName: map[string]*rule{}}
	var errs []error
	var correlations []strict.Node
	for _, n := range nodes {
		switch {
		case n.Kind() != strict.Mapping:
			errs = append(errs, n.Errorf("expected a Sigma rule, found %s", n.Describe()))
		case !n.Get("correlation").IsZero():
			correlations = append(correlations, n)
		case n.Get("detection").IsZero():
			errs = append(errs, n.Errorf("the document has neither detection nor correlation, so it is no Sigma rule"))
		default:
			errs = append(errs, c.rule(n))
		}
	}
	var out []byte
	for _, n := range correlations {
		text, err := c.correlation(n)
		errs = append(errs, err)
		out = append(out, text...)
	}
	if err := strict.Merge(errs...); err != nil {
		return nil, err
	}
	var all []byte
	for _, r := range c.rules {
		if !r.used {
			all = append(all, c.document(r.node, "type: match\ncondition: "+quote(r.condition.text)+"\n")...)
		}
	}
	return append(all, out...), nil
}

// converter holds the rules of one file.
type converter struct {
	translator
	rules  []*rule
	byName map[string]*rule // By id and name, which correlations use.
}

// rule is a converted detection.
type rule struct {
	node      strict.Node
	condition expression
	names     map[string]string // Of the category of its log source.
	used      bool              // Only a part of correlations.
}

func scalar(n strict.Node, key string) string {
	s, _ := n.Get(key).Scalar()
	return s
}

// rule translates a detection and its log source.
func (c *converter) rule(n strict.Node) error {
	detection := n.Get("detection")
	source := n.Get("logsource")
	product, category, service := scalar(source, "product"), scalar(source, "category"), scalar(source, "service")
	narrow, ok := sources(product, category, service)
	if !ok {
		return source.Errorf("the log source product %q, category %q, service %q has no counterpart", product, category, service)
	}
	c.product, c.names, c.written = product, categoryNames(category), 0
	var names []string
	for _, e := range detection.Entries() {
		if key, _ := e.Key.Scalar(); key != "condition" && key != "timeframe" {
			names = append(names, key)
		}
	}
	conditions := []strict.Node{detection.Get("condition")}
	if conditions[0].Kind() == strict.List {
		if conditions = conditions[0].Items(); len(conditions) > maxConditions {
			return detection.Get("condition").Errorf("detection has %d conditions, at most %d are allowed: split the rule", len(conditions), maxConditions)
		}
	}
	var alternatives []expression
	for _, item := range conditions {
		text, ok := item.Scalar()
		if !ok {
			return detection.Errorf("detection needs a condition")
		}
		tree, err := parseCondition(text, names)
		if err != nil {
			return item.Errorf("%s", err)
		}
		x, err := c.tree(tree, detection, false)
		if err != nil {
			return err
		}
		alternatives = append(alternatives, x)
	}
	x := join("or", alternatives)
	parts := []expression{}
	for _, s := range narrow {
		parts = append(parts, expression{text: s})
	}
	r := &rule{node: n, condition: join("and", append(parts, x)), names: c.names}
	c.rules = append(c.rules, r)
	for _, key := range []string{"id", "name"} {
		if name := scalar(n, key); name != "" {
			c.byName[name] = r
		}
	}
	return nil
}

// tree translates a condition.
func (c *converter) tree(n node, detection strict.Node, total bool) (expression, error) {
	if n.op == "" {
		search := detection.Get(n.name)
		x, err := c.search(search, total)
		if err == nil {
			if err = c.write(len(x.text)); err != nil {
				err = search.Errorf("%s", err)
			}
		}
		return x, err
	}
	var parts []expression
	for _, p := range n.parts {
		x, err := c.tree(p, detection, total || n.op == "not")
		if err != nil {
			return x, err
		}
		parts = append(parts, x)
	}
	if n.op == "not" {
		return expression{text: "not (" + parts[0].text + ")"}, nil
	}
	return join(n.op, parts), nil
}

// document writes a rule with the keys that Sigma's have in common with ours.
func (c *converter) document(n strict.Node, rest string) string {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			b.WriteString(key + ": " + value + "\n")
		}
	}
	list := func(key string, values []string) {
		if len(values) == 0 {
			return
		}
		b.WriteString(key + ":\n")
		for _, v := range values {
			b.WriteString("  - " + quote(v) + "\n")
		}
	}
	b.WriteString("---\n")
	id := scalar(n, "id")
	if id == "" { // Sigma does not demand one; the same title gets the same.
		id = uuid.NewSHA1(uuid.NameSpaceURL, []byte("sigma:"+scalar(n, "title"))).String()
	}
	line("id", id)
	line("name", quote(scalar(n, "title")))
	tags := texts(n.Get("tags"))
	line("kind", kind(tags))
	if d := scalar(n, "description"); d != "" {
		line("description", quote(strings.TrimSpace(d)))
	}
	line("severity", severity(scalar(n, "level")))
	line("maturity", maturity(scalar(n, "status")))
	if a := n.Get("author"); !a.IsZero() {
		list("author", texts(a))
	}
	list("references", texts(n.Get("references")))
	list("tags", tags)
	var threats []string
	for _, tag := range tags {
		if strings.HasPrefix(tag, "attack.t") && len(tag) > 8 && tag[8] >= '0' && tag[8] <= '9' {
			threats = append(threats, tag)
		}
	}
	list("threat", threats)
	list("false_positives", texts(n.Get("falsepositives")))
	b.WriteString(rest)
	return b.String()
}

// quote writes a text for YAML and for a condition in it.
func quote(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return string(event.AppendString(nil, s))
}

func texts(n strict.Node) []string {
	var list []string
	for _, item := range n.Items() {
		if s, ok := item.Scalar(); ok {
			list = append(list, s)
		}
	}
	if s, ok := n.Scalar(); ok {
		list = append(list, s)
	}
	return list
}

func severity(level string) string {
	if slices.Contains([]string{"low", "medium", "high", "critical"}, level) {
		return level
	}
	return "info" // informational, and rules without a level.
}

// maturity: a rule without tests of its own is beta at best.
func maturity(status string) string {
	switch status {
	case "stable", "test":
		return "beta"
	case "deprecated", "unsupported":
		return "deprecated"
	}
	return "experimental"
}

func kind(tags []string) string {
	for _, tag := range tags {
		if strings.HasPrefix(tag, "attack.t1562") || strings.HasPrefix(tag, "attack.t1489") {
			return "tamper"
		}
	}
	return "other"
}
