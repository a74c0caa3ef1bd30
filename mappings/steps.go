package mappings

import (
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/mappings/internal/scan"
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// step is one thing that a compiled mapping does to the event of a Mapper.
type step interface{ run(m *Mapper) }

// guarded is a step with the only path that it reads, if it is one: without a
// value there it need not be asked. Records have few of the fields that a file
// names.
type guarded struct {
	needs uint16 // 0 for none: the record itself has no note
	step  step
}

func guard(s step) guarded {
	var only *move
	switch s := s.(type) {
	case *copyText:
		only = s.general
	case *move:
		only = s
	}
	if only == nil || len(only.sources) != 1 || !only.sources[0].isKey || only.fallback.Kind() != ecs.None {
		return guarded{step: s}
	}
	return guarded{only.sources[0].key, s}
}

// source is where a text comes from: a path of the record, or a field of the
// event as it is so far.
type source struct {
	key   uint16
	field ecs.ID
	isKey bool
}

// set gives a field a fixed value.
type set struct {
	field ecs.ID
	value event.Value
}

func (s *set) run(m *Mapper) { m.event.Set(s.field, s.value) }

// copyText gives a text field the first text there is, as it is. It is what
// most moves come down to.
type copyText struct{ general *move }

func (s *copyText) run(m *Mapper) {
	for i := range s.general.sources {
		from := &s.general.sources[i]
		node := m.at[from.key]
		if node == 0 {
			continue
		}
		if m.tape.Nodes[node].Kind == scan.Array {
			s.general.run(m)
			return
		}
		if t, ok := m.textAt(int(node)); ok {
			m.event.Set(s.general.field, stringValue(t))
			m.use(from.key)
			return
		}
	}
}

// move takes a text from the first source that has one that fits, transforms
// it and gives it to a field.
type move struct {
	field      ecs.ID
	sources    []source
	transforms []transform
	separator  string // of a text that holds a list; "" for none
	join       string // between the elements of an array that becomes one text
	list       bool   // the field holds a list
	chooses    bool   // finish picks one of the file's values
	finish     finish
	otherwise  event.Value // for a text that finish does not take
	fallback   event.Value // when no source gave a value
	ifAbsent   bool        // leave a field that has a value alone
	keep       bool        // the raw field stays under the vendor's root, too
}

func (s *move) run(m *Mapper) { s.try(m) }

// try runs the move and reports whether the field has a value now.
func (s *move) try(m *Mapper) bool {
	if s.ifAbsent && m.event.Has(s.field) {
		return true
	}
	for i := range s.sources {
		from := &s.sources[i]
		if from.isKey && m.at[from.key] == 0 {
			continue
		}
		v, ok := s.value(m, from)
		if !ok {
			continue
		}
		m.event.Set(s.field, v)
		if from.isKey && !s.keep {
			m.use(from.key)
		}
		return true
	}
	if s.fallback.Kind() != ecs.None {
		m.event.Set(s.field, s.fallback)
		return true
	}
	return false
}

// firstOf runs its moves up to the first that gives a value.
type firstOf struct{ moves []*move }

func (s *firstOf) run(m *Mapper) {
	for _, move := range s.moves {
		if move.try(m) {
			return
		}
	}
}

func (s *move) value(m *Mapper, from *source) (event.Value, bool) {
	if from.isKey {
		if i := m.at[from.key]; i != 0 && m.tape.Nodes[i].Kind == scan.Array {
			return s.array(m, int(i))
		}
	}
	t, ok := m.text(from)
	if !ok {
		return event.Value{}, false
	}
	if s.separator != "" {
		return s.splitText(m, t)
	}
	return s.one(m, t)
}

// one makes the value of one text.
func (s *move) one(m *Mapper, t text) (event.Value, bool) {
	for _, transform := range s.transforms {
		var ok bool
		if t, ok = transform(m.event, t); !ok {
			return s.otherwise, s.otherwise.Kind() != ecs.None
		}
	}
	v, ok := s.finish(m.event, t)
	if !ok {
		return s.otherwise, s.otherwise.Kind() != ecs.None
	}
	return v, true
}

// array makes the value of a JSON array: a list, one joined text, or, for a
// field that holds one value, the only element.
func (s *move) array(m *Mapper, self int) (event.Value, bool) {
	nodes := m.tape.Nodes
	end := int(nodes[self].Next)
	count, size := 0, 0
	for i := self + 1; i < end; i = int(nodes[i].Next) {
		count++
		size += int(nodes[i].End-nodes[i].Start) + len(s.join)
	}
	switch {
	case s.list:
		list := m.event.Strings(count)
		for i := self + 1; i < end; i = int(nodes[i].Next) {
			if t, ok := m.textAt(i); ok {
				if v, ok := s.one(m, t); ok {
					list = append(list, v.Str())
				}
			}
		}
		return event.StringList(list), len(list) > 0
	case s.join != "":
		joined := m.event.Scratch(size)
		for i := self + 1; i < end; i = int(nodes[i].Next) {
			if t, ok := m.textAt(i); ok {
				if len(joined) > 0 {
					joined = append(joined, s.join...)
				}
				joined = append(joined, t.s...)
			}
		}
		if len(joined) == 0 {
			return event.Value{}, false
		}
		return s.one(m, text{s: event.View(joined)})
	case count == 1:
		if t, ok := m.textAt(self + 1); ok {
			return s.one(m, t)
		}
	}
	return event.Value{}, false
}

// splitText makes a list of a text with separators.
func (s *move) splitText(m *Mapper, t text) (event.Value, bool) {
	count := 1
	for rest := t.s; ; count++ {
		i := strings.Index(rest, s.separator)
		if i < 0 {
			break
		}
		rest = rest[i+len(s.separator):]
	}
	list := m.event.Strings(count)
	for rest, more := t.s, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, s.separator)
		if part == "" || m.isAbsent(part) {
			continue
		}
		if v, ok := s.one(m, text{part, t.clean}); ok {
			list = append(list, v.Str())
		}
	}
	return event.StringList(list), len(list) > 0
}

// classify sets event.action and the classification that goes with it.
type classify struct {
	fixed *action
	from  *move
	known map[string]*action
}

// action is an entry of the vocabulary as values of an event.
type action struct{ name, kind, category, typ, outcome event.Value }

func newAction(a ecs.Action) *action {
	return &action{
		name: event.CleanString(a.Name), kind: event.CleanString(a.Kind), outcome: cleanOrAbsent(a.Outcome),
		category: listOrAbsent(a.Category), typ: listOrAbsent(a.Type),
	}
}

func cleanOrAbsent(s string) event.Value {
	if s == "" {
		return event.Value{}
	}
	return event.CleanString(s)
}

func listOrAbsent(list []string) event.Value {
	if len(list) == 0 {
		return event.Value{}
	}
	return event.StringList(list)
}

func (s *classify) run(m *Mapper) {
	a := s.fixed
	if a == nil {
		s.from.run(m)
		if a = s.known[m.event.Str(ecs.EventAction)]; a == nil {
			return
		}
	}
	a.apply(m.event)
}

func (a *action) apply(e *event.Event) {
	e.Set(ecs.EventAction, a.name)
	e.Set(ecs.EventKind, a.kind)
	e.Set(ecs.EventCategory, a.category)
	e.Set(ecs.EventType, a.typ)
	e.Set(ecs.EventOutcome, a.outcome)
}

// applyIfAbsent leaves what the mapping has set alone.
func (a *action) applyIfAbsent(e *event.Event) {
	setIfAbsent(e, ecs.EventAction, a.name)
	setIfAbsent(e, ecs.EventKind, a.kind)
	setIfAbsent(e, ecs.EventCategory, a.category)
	setIfAbsent(e, ecs.EventType, a.typ)
	setIfAbsent(e, ecs.EventOutcome, a.outcome)
}

func setIfAbsent(e *event.Event, field ecs.ID, v event.Value) {
	if !e.Has(field) {
		e.Set(field, v)
	}
}

// enrich fills fields from the row of a table that a text names.
type enrich struct {
	table   *table
	kind    string
	sources []source
	fields  []enriched
}

type enriched struct {
	column int
	field  ecs.ID
	finish finish
	list   bool // the field holds a list: a cell gives its elements with spaces between them
}

func (s *enrich) run(m *Mapper) {
	for i := range s.sources {
		t, ok := m.text(&s.sources[i])
		if !ok {
			continue
		}
		row := s.table.find(m.event, s.kind, t)
		if row == nil {
			continue
		}
		for _, f := range s.fields {
			cell := row[f.column]
			if cell == "" {
				continue
			}
			if f.list && strings.IndexByte(cell, ' ') >= 0 {
				m.event.Set(f.field, splitCell(m.event, cell))
				continue
			}
			if v, ok := f.finish(m.event, text{s: cell}); ok {
				m.event.Set(f.field, v)
			}
		}
		return
	}
}

// splitCell makes the list that a cell of a table gives.
func splitCell(e *event.Event, cell string) event.Value {
	list := e.Strings(strings.Count(cell, " ") + 1)
	for rest, more := cell, true; more; {
		var word string
		if word, rest, more = strings.Cut(rest, " "); word != "" {
			list = append(list, word)
		}
	}
	return event.StringList(list)
}

// cases runs the first of its cases whose conditions hold.
type cases struct{ list []oneCase }

type oneCase struct {
	when   []condition
	unless []condition
	steps  []guarded
}

func (s *cases) run(m *Mapper) {
	for i := range s.list {
		c := &s.list[i]
		if !holdAll(m, c.when) || holdAny(m, c.unless) {
			continue
		}
		m.run(c.steps)
		return
	}
}

// recordID composes the vendor's own id of the record. Every part must be
// there: half an id would take different records for the same.
type recordID struct {
	prefix string
	parts  [][]source
}

func (s *recordID) run(m *Mapper) {
	size := len(s.prefix)
	for _, part := range s.parts {
		t, ok := m.firstText(part)
		if !ok {
			return
		}
		size += 1 + len(t.s)
	}
	const ordinal = 20 // digits at most, and what stands before them
	id := append(m.event.Scratch(size+ordinal), s.prefix...)
	for _, part := range s.parts {
		t, _ := m.firstText(part)
		id = append(append(id, '|'), t.s...)
	}
	if m.ordinal > 0 { // Elements of one record are different events.
		id = strconv.AppendInt(append(id, '#'), int64(m.ordinal), 10)
	}
	m.event.RecordID = event.View(id)
}

// drop leaves raw fields away that say nothing which the event does not.
type drop struct{ sources []source }

func (s *drop) run(m *Mapper) {
	for i := range s.sources {
		if m.at[s.sources[i].key] != 0 {
			m.use(s.sources[i].key)
		}
	}
}

// elapsed sets the seconds between a point in time and @timestamp.
type elapsed struct {
	field ecs.ID
	start ecs.ID
}

func (s *elapsed) run(m *Mapper) {
	start, now := m.event.Get(s.start), m.event.Timestamp()
	if start == nil || now == 0 || start.Time() > now {
		return
	}
	m.event.Set(s.field, event.Int((now-start.Time())/1e9))
}

// derive keeps a list of texts made of a raw field under the vendor's root.
type derive struct {
	name string
	move *move
}

func (s *derive) run(m *Mapper) {
	for i := range s.move.sources {
		v, ok := s.move.value(m, &s.move.sources[i])
		if !ok {
			continue
		}
		size := 2
		for _, item := range v.List() {
			size += 6*len(item) + 3
		}
		out := append(m.event.Scratch(size), '[')
		for i, item := range v.List() {
			if i > 0 {
				out = append(out, ',')
			}
			out = event.AppendString(out, item)
		}
		m.event.Extra(s.name, event.View(append(out, ']')))
		return
	}
}
