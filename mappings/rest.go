package mappings

import (
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/mappings/internal/scan"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// maxRest is how many values a record may hold whose own fields are kept one
// by one. A record with more is kept as a whole under the key "record".
const maxRest = 4096

// maxRestDepth is how deep an own field may be nested to be kept as an object:
// Elasticsearch refuses flattened fields of more than 20 levels. A record that
// is deeper keeps its objects and arrays as JSON text.
const maxRestDepth = 16

// keepRest keeps under the vendor's root what the event does not hold.
func (m *Mapper) keepRest(self int) {
	nodes := m.tape.Nodes
	if int(nodes[self].Next)-self > maxRest {
		m.event.Extra("record", m.fragment(&nodes[self]))
		return
	}
	m.keepMembers(self, "")
}

func (m *Mapper) keepMembers(self int, above string) {
	nodes := m.tape.Nodes
	end := int(nodes[self].Next)
	array := nodes[self].Kind == scan.Array
	for i, position := self+1, 0; i < end; i, position = int(nodes[i].Next), position+1 {
		n := &nodes[i]
		if id := n.Tag; id != 0 {
			if m.at[id] != uint32(i) || m.used[id] == m.now {
				continue // null, repeated later, or in the event
			}
			if m.within[id] == m.now && n.Kind >= scan.Object {
				m.keepMembers(i, m.join(above, n, array, position, "."))
				continue
			}
		}
		if n.Kind == scan.Null || n.Kind == scan.String && m.isAbsent(event.View(m.tape.Raw(n))) {
			continue
		}
		name := m.join(above, n, array, position, "")
		for _, prefix := range m.mapping.strip {
			if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
				name = rest
				break
			}
		}
		m.event.Extra(name, m.fragment(n))
	}
}

// fragment returns the JSON of an own field.
func (m *Mapper) fragment(n *scan.Node) string {
	raw := m.whole(m.tape.Fragment(n))
	if n.Kind < scan.Object {
		return raw
	}
	// A document is one line, in a bulk request and in a file.
	if strings.IndexByte(raw, '\n') >= 0 || strings.IndexByte(raw, '\r') >= 0 {
		raw = event.View(scan.AppendLine(m.event.Scratch(len(raw)), raw))
	}
	if m.tape.Depth <= maxRestDepth {
		return raw
	}
	// JSON text doubles at most: there is nothing in it but quotes, backslashes and white space to escape.
	return event.View(event.AppendString(m.event.Scratch(2*len(raw)+2), raw))
}

// join builds the dotted name of a member.
func (m *Mapper) join(above string, n *scan.Node, array bool, position int, end string) string {
	key := m.tape.Key(n)
	if above == "" && end == "" && !array {
		return m.whole(key)
	}
	name := append(m.event.Scratch(len(above)+len(key)+20+len(end)), above...)
	if array {
		name = strconv.AppendInt(name, int64(position), 10)
	} else {
		name = append(name, m.whole(key)...)
	}
	return event.View(append(name, end...))
}

// whole returns a part of the record without halves of surrogate pairs.
func (m *Mapper) whole(raw []byte) string {
	if m.tape.Halves {
		raw = scan.AppendWhole(m.event.Scratch(len(raw)), raw)
	}
	return event.View(raw)
}
