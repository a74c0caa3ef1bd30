package mappings

import (
	"github.com/edrwatch/edrwatch/mappings/internal/scan"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// maxSegments bounds the paths of each.
const maxSegments = 8

// way leads to one element: through which lists, and by which of their
// elements.
type way struct {
	count int
	steps [maxSegments]struct{ list, element int }
}

// What one record may become: every event repeats what stands around its
// element.
const (
	maxElements  = 20_000
	maxRewritten = 64 << 20
)

// mapEach maps every element that a file's each names: the record with that
// element in the place of each list on the way to it.
func (m *Mapper) mapEach(takes *mapping, p *event.Partition, r *event.Record, emit func(*event.Event)) error {
	m.ways = m.ways[:0]
	for _, path := range takes.each {
		m.findWays(0, path, way{})
	}
	size := 0
	for i := range m.ways {
		size += m.collapsedSize(&m.ways[i])
	}
	if len(m.ways) > maxElements || size > maxRewritten {
		return fault.New(fault.Permanent, fault.TooLarge, "reading JSON: expected lists of at most %d elements that repeat at most %d bytes, found %d and %d",
			maxElements, maxRewritten, len(m.ways), size)
	}
	if len(m.ways) == 0 {
		if !takes.alone {
			takes = nil // Lists without elements.
		}
		m.fill(0, takes, r)
		emit(m.event)
		return nil
	}
	depth := m.depth
	defer func() { m.ordinal = 0 }()
	for i := range m.ways {
		m.ordinal = i + 1
		if m.collapse(&m.ways[i]) {
			if err := m.mapObject(0, element, p, r, emit); err != nil {
				return err
			}
		}
		m.leave(depth)
	}
	return nil
}

// findWays notes the way to every element of the last list of a path below
// the object with index self.
func (m *Mapper) findWays(self int, path []string, w way) {
	nodes := m.tape.Nodes
	at := 0
	for i := self + 1; i < int(nodes[self].Next); i = int(nodes[i].Next) {
		if string(m.tape.Key(&nodes[i])) == path[0] {
			at = i
		}
	}
	if at == 0 || len(m.ways) > maxElements {
		return
	}
	if nodes[at].Kind == scan.Object && len(path) > 1 {
		m.findWays(at, path[1:], w)
	}
	if nodes[at].Kind != scan.Array {
		return
	}
	w.count++
	for i := at + 1; i < int(nodes[at].Next); i = int(nodes[i].Next) {
		if nodes[i].Kind != scan.Object {
			continue
		}
		w.steps[w.count-1].list, w.steps[w.count-1].element = at, i
		if len(path) > 1 {
			m.findWays(i, path[1:], w)
		} else {
			m.ways = append(m.ways, w)
		}
	}
}

func (m *Mapper) collapsedSize(w *way) int {
	nodes := m.tape.Nodes
	size := int(nodes[0].End - nodes[0].Start)
	for _, step := range w.steps[:w.count] {
		list, element := &nodes[step.list], &nodes[step.element]
		size -= int(list.End-list.Start) - int(element.End-element.Start)
	}
	return size
}

// collapse writes the record with one element in the place of each list and
// goes on with it.
func (m *Mapper) collapse(w *way) bool {
	next, ok := m.rewrite()
	if !ok {
		return false
	}
	data, nodes := m.tape.Data, m.tape.Nodes
	at := nodes[0].Start
	for _, step := range w.steps[:w.count] {
		next.text = append(next.text, data[at:nodes[step.list].Start]...)
		at = nodes[step.element].Start
	}
	for i := w.count - 1; i >= 0; i-- {
		next.text = append(next.text, data[at:nodes[w.steps[i].element].End]...)
		at = nodes[w.steps[i].list].End
	}
	next.text = append(next.text, data[at:nodes[0].End]...)
	return m.enter(next) == nil
}
