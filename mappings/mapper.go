package mappings

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/mappings/internal/scan"
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// Mapper turns records into events by a Plan. It belongs to one goroutine.
type Mapper struct {
	unfolder
	plan    *Plan
	tape    *scan.Tape // of the level at hand
	event   *event.Event
	mapping *mapping

	at      []uint32            // of a key: index of its node on the tape, 0 when absent
	touched []uint16            // keys that at knows
	present keySet              // bits of keys that shapes ask for and that the record has, null or not
	known   map[keySet][]*shape // by present
	latest  [maxLevels]struct { // of known, by level
		present keySet
		shapes  []*shape
	}
	used     []uint32 // of a key: the generation whose event took its value
	within   []uint32 // of a key: the generation whose event took a value below it
	now      uint32   // generation: one for every event
	key      []byte   // room for keys that are not in the record as such
	kind     []byte   // what the record's mapping calls this kind of event
	topic    string   // of the record at hand
	arrived  int64    // when the broker took it, in nanoseconds since 1970; 0 when unknown
	ordinal  int      // of the element of the record's lists at hand, from 1; 0 for the record itself
	original bool
	trace    *trace   // where fields come from; nil unless somebody asks
	shape    []string // room for the keys of a record that no mapping takes
	scope    *scope   // what expressions see; nil until one runs
}

// Option changes how a Mapper works.
type Option func(*Mapper)

// KeepOriginal makes every event carry the record's text in event.original.
func KeepOriginal() Option { return func(m *Mapper) { m.original = true } }

// NewMapper returns a Mapper of the plan.
func (p *Plan) NewMapper(options ...Option) *Mapper {
	m := &Mapper{
		unfolder: newUnfolder(),
		plan:     p,
		event:    event.New(p.dict),
		known:    make(map[keySet][]*shape),
		at:       make([]uint32, len(p.keys.nodes)),
		used:     make([]uint32, len(p.keys.nodes)),
		within:   make([]uint32, len(p.keys.nodes)),
	}
	m.tape = m.levels[0].tape
	for _, option := range options {
		option(m)
	}
	return m
}

// Map turns a record into one event, or into several when its mapping splits
// it, and calls emit for each, in order. The event is the Mapper's own: it is
// valid until emit returns. An error is a *fault.Error about the record; then
// nothing was emitted.
func (m *Mapper) Map(p *event.Partition, r *event.Record, emit func(*event.Event)) error {
	if r.Fault != nil {
		return r.Fault
	}
	m.arrived, m.topic = r.Time*int64(time.Millisecond), ""
	if p != nil {
		m.topic = p.Topic
	}
	m.leave(0)
	if m.asMessage(r.Value) {
		if taken, err := m.mapText(p, r, emit); taken {
			return err
		}
		m.leave(0)
	}
	if err := m.scan(r.Value); err != nil {
		return err
	}
	return m.mapObject(0, record, p, r, emit)
}

// part tells what an object is to its record.
type part uint8

const (
	record  part = iota // the record itself
	element             // of one of its lists; lists in lists were gone through
)

// mapObject maps the object with index self.
func (m *Mapper) mapObject(self int, is part, p *event.Partition, r *event.Record, emit func(*event.Event)) error {
	m.notePresent(self)
	takes := m.plan.detect(m, p, r, nil)
	if takes != nil && takes.unfold != nil {
		self, takes, _ = m.unfoldAndMatch(self, takes, p, r)
	}
	switch {
	case takes != nil && is == record && takes.split != 0:
		return m.mapList(takes, p, r, emit)
	case takes != nil && is == record && takes.each != nil:
		return m.mapEach(takes, p, r, emit)
	case takes != nil && takes.split != 0:
		takes = nil // Envelopes do not nest.
	}
	m.fill(self, takes, r)
	emit(m.event)
	return nil
}

// unfoldAndMatch unfolds what a mapping wants unfolded, and asks once more who takes the
// record as it is now.
func (m *Mapper) unfoldAndMatch(self int, takes *mapping, p *event.Partition, r *event.Record) (int, *mapping, error) {
	done, err := m.unfold(self, takes.unfold)
	if done {
		self = 0
		m.notePresent(self)
		if next := m.plan.detect(m, p, r, nil); next != nil {
			takes = next
		}
	}
	return self, takes, err
}

// mapText maps a text that is not JSON and stands as message of the record at
// hand, and reports whether some file takes it.
func (m *Mapper) mapText(p *event.Partition, r *event.Record, emit func(*event.Event)) (taken bool, err error) {
	m.notePresent(0)
	takes := m.plan.detect(m, p, r, nil)
	if takes == nil {
		return false, nil
	}
	self := 0
	if takes.unfold != nil {
		if self, takes, err = m.unfoldAndMatch(self, takes, p, r); err != nil {
			return true, fault.New(fault.Permanent, fault.Unparsable, "reading %s: %w", formatOf(err), err)
		}
	}
	m.fill(self, takes, r)
	emit(m.event)
	return true, nil
}

// mapInner maps the record that an envelope holds. When no file takes it, the
// record is what is around it.
func (m *Mapper) mapInner(envelope *mapping, inner int, p *event.Partition, r *event.Record, emit func(*event.Event)) error {
	m.notePresent(inner)
	if m.plan.detect(m, p, r, nil) != nil {
		return m.mapObject(inner, element, p, r, emit)
	}
	m.notePresent(0)
	takes := m.plan.detect(m, p, r, envelope)
	if takes != nil && (takes.split != 0 || takes.each != nil) {
		takes = nil
	}
	m.fill(0, takes, r)
	emit(m.event)
	return nil
}

// mapList maps each element of the list that an envelope holds, or the one
// object.
func (m *Mapper) mapList(takes *mapping, p *event.Partition, r *event.Record, emit func(*event.Event)) error {
	list := int(m.at[takes.split])
	nodes := m.tape.Nodes
	if nodes[list].Kind == scan.Object && list != 0 {
		return m.mapInner(takes, list, p, r, emit)
	}
	first, end := list+1, int(nodes[list].Next)
	if nodes[list].Kind != scan.Array || first == end {
		m.fill(0, nil, r) // An envelope around nothing.
		emit(m.event)
		return nil
	}
	for i := first; i < end; i = int(nodes[i].Next) {
		if nodes[i].Kind != scan.Object {
			found := scan.Describe(m.tape.Data, int(nodes[i].Start))
			return fault.New(fault.Permanent, fault.Unparsable, "reading JSON: offset %d: expected an object in the list of records, found %s", nodes[i].Start, found)
		}
	}
	depth := m.depth
	for i := first; i < end; i = int(nodes[i].Next) {
		err := m.mapObject(i, element, p, r, emit)
		m.leave(depth)
		if err != nil {
			return err
		}
	}
	return nil
}

// scan reads the record's text and makes sure that it is an object.
func (m *Mapper) scan(value []byte) error {
	if len(value) == 0 {
		return fault.New(fault.Permanent, fault.Unparsable, "reading JSON: expected an object, found an empty record")
	}
	if err := m.tape.Scan(value); err != nil {
		reason := fault.Unparsable
		if e := new(scan.Error); errors.As(err, &e) && e.TooLarge {
			reason = fault.TooLarge
		}
		return fault.New(fault.Permanent, reason, "reading JSON: %w", err)
	}
	if root := &m.tape.Nodes[0]; root.Kind != scan.Object {
		return fault.New(fault.Permanent, fault.Unparsable, "reading JSON: offset %d: expected an object, found %s",
			root.Start, [...]string{"null", "a boolean", "a boolean", "a number", "a string", "", "a list"}[root.Kind])
	}
	return nil
}

// notePresent forgets the notes and takes those of the object with index self.
func (m *Mapper) notePresent(self int) {
	for _, key := range m.touched {
		m.at[key] = 0
	}
	m.touched, m.present, m.self = m.touched[:0], keySet{}, self
	m.noteMembers(self, 0)
}

func (m *Mapper) noteMembers(self int, parent uint16) {
	nodes, keys, at := m.tape.Nodes, m.plan.keys, m.at
	end := int(nodes[self].Next)
	array := nodes[self].Kind == scan.Array
	for i, position := self+1, 0; i < end; i, position = int(nodes[i].Next), position+1 {
		n := &nodes[i]
		key := m.tape.Key(n)
		if n.KeyEscaped {
			m.key = scan.AppendUnescaped(m.key[:0], key)
			key = m.key
		} else if array {
			m.key = strconv.AppendInt(m.key[:0], int64(position), 10)
			key = m.key
		}
		id := keys.find(parent, key)
		n.Tag = id
		if id == 0 {
			continue
		}
		node := &keys.nodes[id]
		if node.bit != 0 {
			m.present[node.word%keyWords] |= node.bit
		}
		inner := node.inner
		if at[id] == 0 {
			m.touched = append(m.touched, id)
		} else if inner {
			m.forgetBelow(id) // Of a repeated key the last value stands.
		}
		if n.Kind == scan.Null {
			at[id] = 0
			continue
		}
		at[id] = uint32(i)
		if inner && n.Kind >= scan.Object {
			m.noteMembers(i, id)
		}
	}
}

func (m *Mapper) forgetBelow(id uint16) {
	for _, key := range m.touched {
		for above := m.plan.keys.nodes[key].parent; above != 0; above = m.plan.keys.nodes[above].parent {
			if above == id {
				m.at[key] = 0
			}
		}
	}
}

// fill makes the event of the object with index self by a mapping; nil stands
// for the fallback.
func (m *Mapper) fill(self int, chosen *mapping, r *event.Record) {
	e := m.event
	e.Reset()
	if m.now++; m.now == 0 { // The generations start over.
		clear(m.used)
		clear(m.within)
		m.now = 1
	}
	if chosen == nil {
		chosen = m.plan.fallback
	} else {
		e.Mapped = chosen.dataset
		e.Set(ecs.EventModule, chosen.module)
		e.Set(ecs.EventDataset, chosen.set)
	}
	m.mapping = chosen
	e.SetVendor(chosen.root)
	e.Set(ecs.EcsVersion, m.plan.version)
	if m.trace != nil {
		clear(m.trace.origins)
	}
	m.run(chosen.steps)
	m.run(m.eventSteps())
	if e.RecordType = event.View(m.kind); e.Mapped == "" {
		e.RecordType = m.shapeOf(self)
	}
	if !e.Has(ecs.EventAction) {
		m.plan.other.applyIfAbsent(e)
	}
	m.complete()
	if m.original {
		e.SetString(ecs.EventOriginal, event.View(r.Value))
	}
	m.keepRest(self)
}

// eventSteps returns the steps for the kind of event that the record names.
func (m *Mapper) eventSteps() []guarded {
	chosen := m.mapping
	m.kind = m.kind[:0]
	if len(chosen.by) == 0 {
		return nil
	}
	for i, part := range chosen.by {
		t, ok := m.firstText(part)
		if !ok {
			return chosen.other
		}
		if i > 0 {
			m.kind = append(m.kind, '/')
		}
		m.kind = append(m.kind, t.s...)
	}
	if steps, ok := chosen.events[string(m.kind)]; ok {
		return steps
	}
	return chosen.other
}

// complete fills what follows from other fields: the names that Elastic's own
// documents use for the product, and the hosts concerned.
func (m *Mapper) complete() {
	e := m.event
	if e.Has(ecs.AgentType) && e.Mapped != "" {
		m.copyIfAbsent(ecs.ObserverSerialNumber, ecs.AgentID)
		m.copyIfAbsent(ecs.ObserverVersion, ecs.AgentVersion)
	}
	if host := e.Get(ecs.HostName); host != nil {
		e.Append(ecs.RelatedHosts, host.Str())
	}
}

func (m *Mapper) copyIfAbsent(to, from ecs.ID) {
	if v := m.event.Get(from); v != nil && !m.event.Has(to) {
		m.event.Set(to, *v)
	}
}

// use notes that the event holds the value of a key, so that it is not kept a
// second time.
func (m *Mapper) use(key uint16) {
	m.used[key] = m.now
	for above := m.plan.keys.nodes[key].parent; above != 0 && m.within[above] != m.now; above = m.plan.keys.nodes[above].parent {
		m.within[above] = m.now
	}
}

// has reports whether a source has any value.
func (m *Mapper) has(from *source) bool {
	if from.isKey {
		return m.at[from.key] != 0
	}
	return m.event.Has(from.field)
}

// text returns the scalar of a source as text; false when there is none or it
// is one of the texts that mean none.
func (m *Mapper) text(from *source) (text, bool) {
	if from.isKey {
		if i := m.at[from.key]; i != 0 {
			return m.textAt(int(i))
		}
		return text{}, false
	}
	v := m.event.Get(from.field)
	if v == nil {
		return text{}, false
	}
	switch v.Kind() {
	case ecs.String:
		return text{s: v.Str()}, v.Str() != ""
	case ecs.Int:
		return text{event.View(strconv.AppendInt(m.event.Scratch(20), v.Int(), 10)), true}, true
	case ecs.Bool:
		return text{strconv.FormatBool(v.Bool()), true}, true
	default:
		return text{}, false
	}
}

func (m *Mapper) textAt(i int) (text, bool) {
	n := &m.tape.Nodes[i]
	raw := m.tape.Raw(n)
	switch n.Kind {
	case scan.String:
		if n.Escaped {
			t := event.View(scan.AppendUnescaped(m.event.Scratch(len(raw)), raw))
			return text{s: t}, !m.isAbsent(t)
		}
		t := event.View(raw)
		return text{t, true}, !m.isAbsent(t)
	case scan.Number, scan.True, scan.False:
		return text{event.View(raw), true}, true
	default:
		return text{}, false
	}
}

func (m *Mapper) firstText(sources []source) (text, bool) {
	for i := range sources {
		if t, ok := m.text(&sources[i]); ok {
			return t, true
		}
	}
	return text{}, false
}

// isAbsent reports whether a text is one of those that the vendor writes where
// there is no value.
func (m *Mapper) isAbsent(s string) bool {
	return s == "" || m.mapping != nil && len(s) <= m.mapping.longestAbsent && slices.Contains(m.mapping.absent, s)
}
