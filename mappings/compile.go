package mappings

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Compile checks the files against the dictionary, which must know the names
// of [Files.Fields], and makes a plan. The error names every problem.
func (f *Files) Compile(dict *ecs.Dictionary) (*Plan, error) {
	c := &compiler{files: f, dict: dict, names: dict.Names(), plan: &Plan{
		dict: dict, keys: newKeys(), actions: map[string]*action{}, version: event.CleanString(ecs.Version),
	}}
	for _, a := range ecs.Actions() {
		c.plan.actions[a.Name] = newAction(a)
		c.actionNames = append(c.actionNames, a.Name)
	}
	c.plan.other = c.plan.actions["other"]
	var err error
	if c.values, err = ecs.NewValues(); err != nil {
		return nil, err
	}
	c.zones()
	for _, spec := range f.specs {
		c.file(spec)
	}
	c.order()
	if c.plan.fallback == nil {
		c.plan.fallback = &mapping{root: "unmapped"}
	}
	if len(c.plan.keys.nodes) > maxKeys {
		c.problems = append(c.problems, strict.Problem{Message: fmt.Sprintf("expected at most %d different paths in all mapping files", maxKeys)})
	}
	c.plan.keys.freeze()
	for _, m := range c.plan.mappings {
		if m.pass != nil {
			m.pass.index(len(c.plan.keys.nodes))
		}
	}
	if err := strict.NewError(c.problems...); err != nil {
		return nil, err
	}
	return c.plan, nil
}

// compiler holds what is needed while files become mappings.
type compiler struct {
	files       *Files
	dict        *ecs.Dictionary
	names       []string // of the dictionary, for suggestions
	actionNames []string
	values      *ecs.Values // what fields of closed vocabularies may hold
	plan        *Plan
	problems    []strict.Problem
	shapes      []shapeSpec

	spec    *fileSpec // the file at hand
	mapping *mapping
	zone    *time.Location
}

func (c *compiler) problem(n strict.Node, hint, format string, args ...any) {
	p := n.Problem(format, args...)
	p.Hint = hint
	c.problems = append(c.problems, p)
}

func (c *compiler) problemAt(t strict.Text, hint, format string, args ...any) {
	c.problems = append(c.problems, t.Problem(0, fmt.Sprintf(format, args...), hint))
}

func (c *compiler) add(err error) {
	if err != nil {
		if known, ok := strict.Merge(err).(*strict.Error); ok {
			c.problems = append(c.problems, known.Problems...)
		}
	}
}

// suggest returns a hint with the candidate nearest to a misspelt name.
func suggest(name string, candidates []string) string {
	if nearest, ok := strict.Nearest(name, candidates); ok {
		return fmt.Sprintf("did you mean %q?", nearest)
	}
	return ""
}

func (c *compiler) file(spec *fileSpec) {
	module, _, _ := strings.Cut(spec.Dataset.Value, ".")
	m := &mapping{
		dataset: spec.Dataset.Value, root: spec.root(), strip: spec.Strip, absent: spec.Absent,
		module: event.Constant(module), set: event.Constant(spec.Dataset.Value),
		events: map[string][]guarded{},
	}
	c.spec, c.mapping, c.zone = spec, m, c.location(spec.Zone)
	for _, topic := range spec.Topics {
		m.topics = append(m.topics, newPattern(topic))
	}
	for _, key := range sortedKeys(spec.Headers) {
		m.headers = append(m.headers, headerHint{key, newPattern(spec.Headers[key])})
	}
	for _, text := range spec.Absent {
		m.longestAbsent = max(m.longestAbsent, len(text))
	}
	if spec.Split.Value != "" {
		m.split = c.plan.keys.add(spec.Split.Value)
	}
	c.each(spec)
	m.alone = spec.Alone
	c.unfold(spec)
	c.takes(spec, m)
	c.needsVoice(spec)
	if len(spec.Drop) > 0 {
		m.steps = append(m.steps, guard(&drop{c.sources(spec.Drop)}))
	}
	c.agent(spec)
	c.times(spec)
	m.steps = append(m.steps, c.block(&spec.Block)...)
	c.pass(spec)
	c.recordID(spec)
	c.events(spec)
	c.typedNames()
	c.plan.mappings = append(c.plan.mappings, m)
}

// each compiles the paths through lists whose elements are events.
func (c *compiler) each(spec *fileSpec) {
	for _, path := range spec.Each {
		if !c.validPath(path) {
			continue
		}
		segments := strings.Split(path.Value, ".")
		if len(segments) > maxSegments {
			c.problemAt(path, "", "expected a path of at most %d keys, found %q", maxSegments, path.Value)
			continue
		}
		c.mapping.each = append(c.mapping.each, segments)
	}
}

// unfold compiles what is opened before a record is mapped.
func (c *compiler) unfold(spec *fileSpec) {
	for _, u := range spec.Unfold {
		pairs := u.As.Value == "pairs"
		switch {
		case !slices.Contains(unfoldFormats(), u.As.Value):
			c.problemAt(u.As, suggest(u.As.Value, unfoldFormats()), "unknown format %q: expected one of %s", u.As.Value, strings.Join(unfoldFormats(), ", "))
			continue
		case pairs && (u.Key == "" || u.Value == ""):
			c.problemAt(u.As, "such as key: Key and value: ValueString", "pairs needs key and value, the members that hold name and value")
		case u.As.Value == "by_key" && (u.Key == "" || u.Value != ""):
			c.problemAt(u.As, "such as key: entityType", "by_key needs key, the member that says what an element is")
		case u.As.Value == "by_key":
		case !pairs && u.Key+u.Value != "":
			c.problemAt(u.As, "", "key and value belong to pairs")
		case strings.Contains(u.To, "."):
			c.problemAt(u.As, "", "expected to to be the name of a member of the record without dots, found %q", u.To)
		}
		c.mapping.unfold = append(c.mapping.unfold, unfolding{sources: c.sources(u.From), format: u.As.Value, to: u.To, key: u.Key, value: u.Value})
	}
}

// takes compiles which records the file is for.
func (c *compiler) takes(spec *fileSpec, m *mapping) {
	switch {
	case spec.Fallback && c.plan.fallback != nil:
		c.problem(spec.node, "", "there is a fallback already: only one file takes the records that no other takes")
	case spec.Fallback:
		c.plan.fallback = m
	case len(spec.Match) == 0:
		c.problem(spec.node, "name keys that its records have, such as match: [{event_simpleName: \"*\"}]", "the file does not say which records it takes")
	}
	for _, node := range spec.Match {
		conditions := c.conditions(node, true)
		if len(conditions) == 0 {
			c.problem(node, "", "expected at least one path with a value, or \"*\" for any")
			continue
		}
		needs := keySet{}
		for _, condition := range conditions {
			c.plan.keys.mark(condition.sources[0].key, &needs)
		}
		weight := 2 * len(conditions)
		if spec.Last {
			weight = 1
		}
		c.shapes = append(c.shapes, shapeSpec{shape{weight: weight, needs: needs, conditions: conditions, mapping: m}, node, spec})
	}
}

func (c *compiler) location(zone strict.Text) *time.Location {
	if zone.Value == "" || zone.Value == localZone {
		return time.UTC
	}
	location, err := time.LoadLocation(zone.Value)
	if err != nil {
		c.problemAt(zone, "a name of the IANA database such as Europe/Paris", "unknown time zone %q", zone.Value)
		return time.UTC
	}
	return location
}

// agent compiles the constants of a file whose records all belong to one
// product.
func (c *compiler) agent(spec *fileSpec) {
	if spec.Agent == "" {
		return
	}
	c.mapping.agent = true
	c.mapping.steps = append(c.mapping.steps, guard(&set{ecs.AgentType, event.Constant(spec.Agent)}), guard(&set{ecs.ObserverVendor, event.Constant(spec.Vendor.Value)}))
	if spec.Product != "" {
		c.mapping.steps = append(c.mapping.steps, guard(&set{ecs.ObserverProduct, event.Constant(spec.Product)}))
	}
}

func (c *compiler) times(spec *fileSpec) {
	step := &timestamp{}
	for _, t := range spec.Timestamp {
		local, zone := spec.Zone.Value == localZone, c.zone
		if t.Zone.Value != "" {
			local, zone = t.Zone.Value == localZone, c.location(t.Zone)
		}
		syslog := t.Format.Value == "syslog"
		var format timeFormat
		if !syslog {
			format = c.timeFormatIn(t.Format, zone)
		}
		notAfter, received := c.sources(t.NotAfter), c.sources(t.Received)
		if received != nil && !local {
			c.problemAt(t.Received[0], "", "received belongs to times of zone: local")
		}
		var parts []transform
		for _, part := range t.Part {
			parts = append(parts, partOf(part.By, part.Index))
		}
		for _, from := range c.sources(t.From) {
			step.sources = append(step.sources, timeSource{from, parts, format, notAfter, local, received, syslog})
		}
	}
	if len(step.sources) > 0 {
		c.mapping.steps = append(c.mapping.steps, guard(step))
	}
}

func (c *compiler) timeFormat(name strict.Text) timeFormat { return c.timeFormatIn(name, c.zone) }

func (c *compiler) timeFormatIn(name strict.Text, zone *time.Location) timeFormat {
	format, ok := timeFormatByName(name.Value, zone)
	if !ok {
		c.problemAt(name, suggest(name.Value, timeFormatNames()), "unknown time format %q: expected one of %s or a Go layout", name.Value, strings.Join(timeFormatNames(), ", "))
	}
	return format
}

func (c *compiler) recordID(spec *fileSpec) {
	if len(spec.RecordID) == 0 {
		return
	}
	step := &recordID{prefix: spec.Dataset.Value}
	for _, part := range spec.RecordID {
		step.parts = append(step.parts, c.sources(part))
	}
	c.mapping.steps = append(c.mapping.steps, guard(step))
}

// events compiles the blocks of the kinds of events that a file names.
func (c *compiler) events(spec *fileSpec) {
	m := c.mapping
	for _, part := range spec.By {
		m.by = append(m.by, c.sources(part))
	}
	if spec.Events.Kind() != strict.Mapping {
		if !spec.Events.IsZero() {
			c.problem(spec.Events, "", "expected a mapping from event names to what they mean, found %s", spec.Events.Describe())
		}
		return
	}
	if len(m.by) == 0 {
		c.problem(spec.Events, "such as by: [event_simpleName]", "events needs by, the path of the event's name")
	}
	for _, entry := range spec.Events.Entries() {
		var block blockSpec
		if err := entry.Value.Decode(&block); err != nil {
			c.add(err)
			continue
		}
		if block.Action.IsZero() && len(block.Cases) == 0 {
			c.problem(entry.Key, "", "event has no action")
		}
		steps := c.block(&block)
		for name := range strings.SplitSeq(entry.Key.Text().Value, " | ") {
			if name == "*" {
				m.other = steps
				continue
			}
			if _, dup := m.events[name]; dup {
				c.problem(entry.Key, "", "event %q is named twice", name)
			}
			m.events[name] = steps
		}
	}
}

// typedNames moves raw fields whose names a file declares, unless the file
// moves them somewhere itself.
func (c *compiler) typedNames() {
	m := c.mapping
	for i := range c.dict.Len() {
		f := c.dict.Field(ecs.ID(i))
		name, ours := strings.CutPrefix(f.Name, m.root+".")
		if !ours || !f.Custom || !c.dict.Layout().Place(ecs.ID(i)).Leaf || f.Kind == ecs.JSON {
			continue
		}
		path := strict.Text{Value: name}
		sources := c.sources(paths{path})
		for _, prefix := range m.strip {
			sources = append(sources, c.sources(paths{{Value: prefix + name}})...)
		}
		m.steps = append(m.steps, guard(c.newMove(ecs.ID(i), sources, &valueSpec{Scale: 1})))
	}
}

// sources turns paths into places of the record, those under the file's own
// prefixes first.
func (c *compiler) sources(list paths) []source {
	var out []source
	for _, path := range list {
		if !c.validPath(path) {
			continue
		}
		for _, place := range c.places(path.Value) {
			for _, prefix := range c.spec.Under {
				out = append(out, source{key: c.plan.keys.add(prefix + "." + place), isKey: true})
			}
			out = append(out, source{key: c.plan.keys.add(place), isKey: true})
		}
	}
	return out
}

func (c *compiler) validPath(path strict.Text) bool {
	if path.Value == "" || slices.Contains(strings.Split(path.Value, "."), "") {
		c.problemAt(path, "", "expected a path such as winlog.event_data.param1, found %q", path.Value)
		return false
	}
	return true
}

// places returns where a path may stand by the file's aliases: those of the
// whole path, then those of what it begins with. The alias "" is the record
// itself.
func (c *compiler) places(path string) []string {
	var out []string
	for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '.') {
		for _, place := range c.spec.Aliases[path[:end]] {
			if place = strings.TrimPrefix(place+path[end:], "."); place != "" {
				out = append(out, place)
			}
		}
	}
	if out == nil {
		return []string{path}
	}
	return out
}

// field resolves a name of the dictionary that can hold a value.
func (c *compiler) field(n strict.Text) (ecs.ID, bool) {
	id, ok := c.dict.Lookup(n.Value)
	if !ok && c.dict.IsObject(n.Value) {
		c.problemAt(n, "name one of the fields below it", "field %q is an object", n.Value)
		return 0, false
	}
	if !ok {
		hint := suggest(n.Value, c.names)
		if strings.HasPrefix(n.Value, c.mapping.root+".") {
			hint = "declare its type under names"
		}
		c.problemAt(n, hint, "unknown field %q", n.Value)
		return 0, false
	}
	if f := c.dict.Field(id); f.Kind == ecs.JSON || !c.dict.Layout().Place(id).Leaf {
		c.problemAt(n, "", "field %q is an object: expected a field that holds a value", n.Value)
		return 0, false
	}
	return id, true
}
