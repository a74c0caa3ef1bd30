package mappings

import (
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// block compiles action, voice, set, fields, enrich, expr and cases, in this order.
func (c *compiler) block(b *blockSpec) []guarded {
	var steps []step
	if !b.Action.IsZero() {
		steps = append(steps, c.action(b.Action))
	}
	if !b.Voice.IsZero() {
		steps = append(steps, c.voice(b.Voice))
	}
	for field, node := range c.entries(b.Set) {
		steps = append(steps, &set{field, c.constant(node, field)})
	}
	steps = append(steps, c.fields(b.Fields)...)
	for i := range b.Enrich {
		if step := c.enrich(&b.Enrich[i]); step != nil {
			steps = append(steps, step)
		}
	}
	for field, node := range c.entries(b.Expr) {
		if step := c.expression(field, node.Text()); step != nil {
			steps = append(steps, step)
		}
	}
	if len(b.Cases) > 0 {
		steps = append(steps, c.cases(b.Cases))
	}
	out := make([]guarded, len(steps))
	for i, step := range steps {
		out[i] = guard(step)
	}
	return out
}

// fields compiles where fields come from: those of the dictionary, and those
// that stand under the vendor's root beside what is left over.
func (c *compiler) fields(n strict.Node) []step {
	var steps []step
	for _, entry := range c.mappingEntries(n) {
		name := entry.Key.Text()
		_, known := c.dict.Lookup(name.Value)
		if own, ours := strings.CutPrefix(name.Value, c.mapping.root+"."); ours && !known {
			if step := c.derive(own, entry.Value); step != nil {
				steps = append(steps, step)
			}
			continue
		}
		if id, ok := c.field(name); ok {
			if step := c.value(id, entry.Value); step != nil {
				steps = append(steps, step)
			}
		}
	}
	return steps
}

func (c *compiler) mappingEntries(n strict.Node) []strict.Entry {
	if n.IsZero() || n.Kind() == strict.Mapping {
		return n.Entries()
	}
	c.problem(n, "", "expected a mapping from field names, found %s", n.Describe())
	return nil
}

// derive compiles a list of texts under the vendor's root.
func (c *compiler) derive(name string, n strict.Node) step {
	if m := c.move(ecs.Tags, n); m != nil { // Tags stands for any field that holds a list of texts.
		return &derive{name, m}
	}
	return nil
}

// entries yields the fields that a mapping names with what they get.
func (c *compiler) entries(n strict.Node) func(yield func(ecs.ID, strict.Node) bool) {
	return func(yield func(ecs.ID, strict.Node) bool) {
		for _, entry := range c.mappingEntries(n) {
			if id, ok := c.field(entry.Key.Text()); ok && !yield(id, entry.Value) {
				return
			}
		}
	}
}

func (c *compiler) action(n strict.Node) step {
	if n.Kind() != strict.Mapping {
		name := n.Text().Value
		fixed := c.plan.actions[name]
		if fixed == nil {
			c.problem(n, suggest(name, c.actionNames), "unknown action %q", name)
		}
		return &classify{fixed: fixed}
	}
	from := c.move(ecs.EventAction, n)
	if from != nil {
		c.checkActionsOf(n)
		from.keep = true // The name of our action does not tell the raw value.
	}
	return &classify{from: from, known: c.plan.actions}
}

// checkActionsOf makes sure that a table which gives actions holds only words
// of the vocabulary.
func (c *compiler) checkActionsOf(n strict.Node) {
	var spec valueSpec
	if spec.DecodeYAML(n) != nil || spec.Lookup.Value == "" {
		return
	}
	t := c.files.tables[tableName(c.spec, spec.Lookup.Value)]
	if t == nil || t.column(spec.Column) < 0 {
		return // A problem is noted.
	}
	column := t.column(spec.Column)
	for _, key := range sortedKeys(t.rows) {
		if name := t.rows[key][column]; name != "" && c.plan.actions[name] == nil {
			c.problem(n, suggest(name, c.actionNames), "the lookup table %q has the unknown action %q in its row %q", spec.Lookup.Value, name, strings.ReplaceAll(key, keySeparator, ","))
		}
	}
}

// constant makes the value that a file gives for a field.
func (c *compiler) constant(n strict.Node, field ecs.ID) event.Value {
	f := c.dict.Field(field)
	if n.Kind() == strict.List {
		if !f.Array || f.Kind != ecs.String {
			c.problem(n, "", "field %s holds one %s, not a list", f.Name, f.Kind)
			return event.Value{}
		}
		var list []string
		for _, item := range n.Items() {
			v := c.constant(item, field)
			list = append(list, v.List()...)
		}
		return event.StringList(list)
	}
	s, ok := n.Scalar()
	if !ok || s == "" {
		c.problem(n, "", "expected a value for %s, found %s", f.Name, n.Describe())
		return event.Value{}
	}
	if allowed := c.values.Of(f.Name); allowed != nil && !slices.Contains(allowed, s) {
		c.problem(n, suggest(s, allowed), "%q is not a value of %s", s, f.Name)
	}
	format, _ := timeFormatByName("rfc3339", c.zone)
	v, ok := finishFor(f.Kind, 1, format)(nil, text{s: s})
	if !ok {
		c.problem(n, "", "expected a value for %s (%s), found %s", f.Name, f.Kind, n.Describe())
	}
	switch {
	case f.Array && f.Kind == ecs.String:
		return event.StringList([]string{s})
	case f.Kind == ecs.String:
		return event.Constant(s)
	}
	return v
}

// value compiles where a field's value comes from.
func (c *compiler) value(field ecs.ID, n strict.Node) step {
	if slices.ContainsFunc(n.Items(), func(item strict.Node) bool { return item.Kind() == strict.Mapping }) {
		return c.firstOf(field, n)
	}
	if !n.Get("since").IsZero() {
		return c.elapsed(field, n)
	}
	if m := c.move(field, n); m != nil {
		return c.simplest(m)
	}
	return nil
}

// elapsed compiles the seconds since another field's time.
func (c *compiler) elapsed(field ecs.ID, n strict.Node) step {
	var spec struct {
		Since strict.Text `yaml:"since"`
	}
	if err := n.Decode(&spec); err != nil {
		c.add(err)
		return nil
	}
	start, ok := c.field(spec.Since)
	if ok && (c.dict.Field(start).Kind != ecs.Time || c.dict.Field(field).Kind != ecs.Int) {
		c.problem(n, "", "since: expected the seconds since a time, for a field that holds an integer")
	}
	return &elapsed{field, start}
}

// move compiles one way to a value, in the short or the long form.
func (c *compiler) move(field ecs.ID, n strict.Node) *move {
	spec := valueSpec{Scale: 1}
	if err := spec.DecodeYAML(n); err != nil {
		c.add(err)
		return nil
	}
	sources := c.sources(spec.From)
	if spec.Field.Value != "" {
		if id, ok := c.field(spec.Field); ok {
			sources = append(sources, source{field: id})
		}
	}
	if len(sources) == 0 {
		c.problem(n, "from: names a path of the record, field: a field of the event", "the value comes from nowhere")
	}
	return c.newMove(field, sources, &spec)
}

// simplest replaces a move that only copies texts.
func (c *compiler) simplest(m *move) step {
	plain := c.dict.Field(m.field).Kind == ecs.String && len(m.transforms) == 0 &&
		!m.chooses && m.separator == "" && m.join == "" && !m.list && !m.ifAbsent && !m.keep &&
		m.otherwise.Kind() == ecs.None && m.fallback.Kind() == ecs.None
	for i := range m.sources {
		plain = plain && m.sources[i].isKey
	}
	if plain {
		return &copyText{m}
	}
	return m
}

// firstOf compiles several ways to a value, of which the first that leads to
// one counts.
func (c *compiler) firstOf(field ecs.ID, n strict.Node) step {
	out := &firstOf{}
	for _, item := range n.Items() {
		if m := c.move(field, item); m != nil {
			out.moves = append(out.moves, m)
		}
	}
	return out
}

func (c *compiler) newMove(field ecs.ID, sources []source, spec *valueSpec) *move {
	f := c.dict.Field(field)
	m := &move{
		field: field, sources: sources, separator: spec.Split, join: spec.Join, list: f.Array && f.Kind == ecs.String,
		ifAbsent: spec.IfAbsent, chooses: !spec.Map.IsZero() || !spec.Bits.IsZero() || c.values.Of(f.Name) != nil,
	}
	if spec.Split != "" && !m.list {
		c.problem(spec.node, "", "split makes a list, but %s holds one value", f.Name)
	}
	lossy := !spec.Map.IsZero() || !spec.Bits.IsZero() || spec.Lookup.Value != "" || len(spec.Part) > 0
	for _, part := range spec.Part {
		m.transforms = append(m.transforms, partOf(part.By, part.Index))
	}
	var format timeFormat
	if f.Kind == ecs.Time {
		format = c.timeFormat(spec.As)
	} else if spec.As.Value != "" {
		t, ok := transformByName(spec.As.Value)
		if !ok {
			c.problemAt(spec.As, suggest(spec.As.Value, transformNames()), "unknown conversion %q: expected one of %s", spec.As.Value, strings.Join(transformNames(), ", "))
		} else {
			m.transforms = append(m.transforms, t)
		}
		lossy = lossy || slices.Contains(lossyTransforms(), spec.As.Value)
	}
	if spec.Lookup.Value != "" {
		if t := c.lookup(spec); t != nil {
			m.transforms = append(m.transforms, t)
		}
	}
	if f.Type == "ip" {
		m.transforms = append(m.transforms, checkIP)
	}
	if strings.HasSuffix(f.Name, ".mac") {
		m.transforms = append(m.transforms, writeMAC)
	}
	m.finish = c.finish(field, spec, format)
	if !spec.Default.IsZero() {
		m.fallback = c.constant(spec.Default, field)
	}
	if !spec.Otherwise.IsZero() {
		m.otherwise = c.constant(spec.Otherwise, field)
		lossy = true
	}
	if m.keep = lossy; spec.Keep != nil {
		m.keep = *spec.Keep
	}
	return m
}

// finish compiles the last conversion: a choice of values, or by the kind of
// the field.
func (c *compiler) finish(field ecs.ID, spec *valueSpec, format timeFormat) finish {
	f := c.dict.Field(field)
	switch {
	case !spec.Map.IsZero():
		choices := map[string]event.Value{}
		var patterns []patternChoice
		for _, entry := range spec.Map.Entries() {
			v := c.constant(entry.Value, field)
			raw, _ := entry.Key.Scalar()
			if p := newPattern(raw); p.kind != equal {
				c.checkPattern(entry.Key, p)
				patterns = append(patterns, patternChoice{p, v})
				continue
			}
			choices[raw], choices[strings.ToLower(raw)] = v, v
		}
		if len(choices)+len(patterns) == 0 {
			c.problem(spec.Map, "", "expected a mapping from raw values, found %s", spec.Map.Describe())
		}
		return choose(choices, patterns)
	case !spec.Bits.IsZero():
		var flags []maskBit
		for _, entry := range spec.Bits.Entries() {
			raw, _ := entry.Key.Scalar()
			bit, ok := digits(raw)
			if !ok || bit > 63 {
				c.problem(entry.Key, "", "expected the number of a bit, 0 to 63, found %s", entry.Key.Describe())
				continue
			}
			flags = append(flags, maskBit{uint(bit), c.constant(entry.Value, field)})
		}
		return chooseBits(flags, f.Array)
	case c.values.Of(f.Name) != nil:
		own := map[string]event.Value{}
		for _, word := range c.values.Of(f.Name) {
			own[word] = event.CleanString(word)
		}
		return choose(own, nil)
	case spec.Scale == 0:
		c.problem(spec.node, "", "scale: expected a number other than 0")
	}
	return finishFor(f.Kind, spec.Scale, format)
}

func (c *compiler) lookup(spec *valueSpec) transform {
	t := c.table(spec.Lookup)
	if t == nil {
		return nil
	}
	column := t.column(spec.Column)
	if column < 0 {
		c.problemAt(spec.Lookup, suggest(spec.Column, t.columns), "the lookup table %q has no column %q", spec.Lookup.Value, spec.Column)
		return nil
	}
	return lookUp(t, spec.Kind, column)
}

func (c *compiler) table(name strict.Text) *table {
	t := c.files.tables[tableName(c.spec, name.Value)]
	if t == nil {
		c.problemAt(name, suggest(name.Value, sortedKeys(c.spec.Lookups)), "unknown lookup table %q: declare it under lookups", name.Value)
	}
	return t
}

func (c *compiler) enrich(spec *enrichSpec) step {
	t := c.table(spec.Lookup)
	if t == nil {
		return nil
	}
	step := &enrich{table: t, kind: strings.ToLower(spec.Kind), sources: c.sources(spec.From)}
	for _, name := range spec.By {
		if id, ok := c.field(name); ok {
			step.sources = append(step.sources, source{field: id})
		}
	}
	for field, node := range c.entries(spec.Fields) {
		name, _ := node.Scalar()
		column := t.column(name)
		if column < 0 {
			c.problem(node, suggest(name, t.columns), "the lookup table %q has no column %q", spec.Lookup.Value, name)
			continue
		}
		format, _ := timeFormatByName("auto", c.zone)
		f := c.dict.Field(field)
		step.fields = append(step.fields, enriched{column, field, finishFor(f.Kind, 1, format), f.Array && f.Kind == ecs.String})
	}
	return step
}

func (c *compiler) cases(list []caseSpec) step {
	out := &cases{}
	for i := range list {
		spec := &list[i]
		compiled := oneCase{when: c.conditions(spec.When, false), unless: c.conditions(spec.Unless, false), steps: c.block(&spec.Block)}
		compiled.when = append(compiled.when, c.having(spec.Having)...)
		out.list = append(out.list, compiled)
	}
	return out
}

// having compiles conditions on the event as it is so far.
func (c *compiler) having(n strict.Node) []condition {
	var out []condition
	for field, node := range c.entries(n) {
		out = append(out, c.condition([]source{{field: field}}, node))
	}
	return out
}

// conditions compiles conditions on raw values. Those that recognise a record
// name exact paths.
func (c *compiler) conditions(n strict.Node, exact bool) []condition {
	if n.IsZero() {
		return nil
	}
	if n.Kind() != strict.Mapping {
		c.problem(n, "", "expected a mapping from paths to values, found %s", n.Describe())
		return nil
	}
	var out []condition
	for _, entry := range n.Entries() {
		path := entry.Key.Text()
		var sources []source
		if exact && c.validPath(path) {
			sources = []source{{key: c.plan.keys.add(path.Value), isKey: true}}
		} else if !exact {
			sources = c.sources(paths{path})
		}
		if len(sources) == 0 {
			continue // A problem is noted.
		}
		out = append(out, c.condition(sources, entry.Value))
	}
	return out
}

// checkPattern refuses a * in the middle, which would only match itself.
func (c *compiler) checkPattern(n strict.Node, p pattern) {
	if strings.Contains(p.text, "*") {
		c.problem(n, "", "expected * at the beginning or the end only, found %s", n.Describe())
	}
}

func (c *compiler) condition(sources []source, n strict.Node) condition {
	out := condition{sources: sources}
	items := n.Items()
	if n.Kind() != strict.List {
		items = []strict.Node{n}
	}
	for _, item := range items {
		s, ok := item.Scalar()
		if !ok || s == "" {
			c.problem(item, "\"*\" stands for any value", "expected a text to compare with, found %s", item.Describe())
			continue
		}
		p := newPattern(s)
		c.checkPattern(item, p)
		out.patterns = append(out.patterns, p)
		out.present = out.present || p.kind == anything
	}
	return out
}
