package mappings

import (
	"bytes"

	"github.com/edrwatch/edrwatch/mappings/internal/scan"
)

// maxByKey bounds the elements of a list that are distinguished by kind: the
// cost grows with their square.
const maxByKey = 256

// appendByKey makes an object of a list of objects: the first of each kind by
// its kind, which the member called key names. Of a name with points, such as
// "#microsoft.graph.security.deviceEvidence", the last part counts.
func (m *Mapper) appendByKey(key string, list int) bool {
	nodes := m.tape.Nodes
	m.unfolded = append(m.unfolded, '{')
	count, seen := 0, 0
	for i := list + 1; i < int(nodes[list].Next) && seen < maxByKey; i = int(nodes[i].Next) {
		seen++
		kind := m.kindOf(i, key)
		if kind == nil || m.isLater(list, i, key, kind) {
			continue
		}
		if count++; count > 1 {
			m.unfolded = append(m.unfolded, ',')
		}
		m.unfolded = append(append(append(m.unfolded, '"'), kind...), '"', ':')
		m.unfolded = append(m.unfolded, m.tape.Fragment(&nodes[i])...)
	}
	m.unfolded = append(m.unfolded, '}')
	return count > 0
}

// isLater reports whether an element of the list before i is of the kind.
func (m *Mapper) isLater(list, i int, key string, kind []byte) bool {
	for k := list + 1; k < i; k = int(m.tape.Nodes[k].Next) {
		if bytes.Equal(m.kindOf(k, key), kind) {
			return true
		}
	}
	return false
}

// kindOf returns what an element of a list says it is, nil for nothing.
func (m *Mapper) kindOf(element int, key string) []byte {
	if m.tape.Nodes[element].Kind != scan.Object {
		return nil
	}
	at := m.member(element, key)
	if at == 0 || m.tape.Nodes[at].Kind != scan.String {
		return nil
	}
	kind := m.tape.Raw(&m.tape.Nodes[at])
	if i := bytes.LastIndexByte(kind, '.'); i >= 0 {
		kind = kind[i+1:]
	}
	return kind
}
