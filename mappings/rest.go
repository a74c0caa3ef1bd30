package mappings

import (
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/mappings/internal/scan"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// maxRest is how many own fields of a vendor an event keeps one by one. A
// record with more is kept as a whole under the key "record".
const maxRest = 1024

// keepRest keeps under the vendor's root what the event does not hold.
func (m *Mapper) keepRest(self int) {
	nodes := m.tape.Nodes
	if int(nodes[self].Next)-self > maxRest {
		m.event.Extra("record", event.View(m.tape.Fragment(&nodes[self])))
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
		if n.Kind == scan.Null || n.Kind == scan.String && m.isAbsent(event.View(m.tape.Raw(n))) {
			continue
		}
		if id := n.Tag; id != 0 {
			if m.at[id] != uint32(i) || m.used[id] == m.now {
				continue // repeated later, or in the event
			}
			if m.within[id] == m.now && n.Kind >= scan.Object {
				m.keepMembers(i, m.join(above, n, array, position, "."))
				continue
			}
		}
		name := m.join(above, n, array, position, "")
		for _, prefix := range m.mapping.strip {
			if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
				name = rest
				break
			}
		}
		m.event.Extra(name, event.View(m.tape.Fragment(n)))
	}
}

// join builds the dotted name of a member.
func (m *Mapper) join(above string, n *scan.Node, array bool, position int, end string) string {
	key := m.tape.Key(n)
	if above == "" && end == "" && !array {
		return event.View(key)
	}
	name := append(m.event.Scratch(len(above)+len(key)+20+len(end)), above...)
	if array {
		name = strconv.AppendInt(name, int64(position), 10)
	} else {
		name = append(name, key...)
	}
	return event.View(append(name, end...))
}
