package ecs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Layout gives each field the place that it has in a nested document, so that
// a document can be written in one pass: fields that share an object stand
// next to each other in rank order.
type Layout struct {
	rank    []uint16 // of an ID
	byRank  []ID
	places  []Place // of an ID
	objects map[string]uint16
}

// Place is where a field stands in the nested document.
type Place struct {
	// Objects are the identifiers of the enclosing objects, outermost first.
	// Two fields share an object when the identifiers are equal.
	Objects []uint16
	// Open is the JSON text that opens each of Objects: `"host":{`.
	Open []string
	// Key is the JSON text before the value: `"name":`.
	Key string
	// Leaf reports that the field has no fields below it. A field that has
	// (process.io) can only be described, never set.
	Leaf bool
}

func newLayout(fields []Field) (Layout, error) {
	l := Layout{
		rank:    make([]uint16, len(fields)),
		byRank:  make([]ID, len(fields)),
		places:  make([]Place, len(fields)),
		objects: make(map[string]uint16),
	}
	paths := make([][]string, len(fields))
	for i := range fields {
		l.byRank[i] = ID(i)
		paths[i] = strings.Split(fields[i].Name, ".")
	}
	slices.SortFunc(l.byRank, func(a, b ID) int { return slices.CompareFunc(paths[a], paths[b], cmp.Compare) })
	for rank, id := range l.byRank {
		l.rank[id] = uint16(rank)
		l.places[id] = l.place(paths[id])
	}
	for i := range fields {
		f := &fields[i]
		_, object := l.objects[f.Name]
		l.places[i].Leaf = !object
		if object && f.Kind != JSON {
			return l, fmt.Errorf("field %s: is %s and cannot have fields below it", f.Name, f.Type)
		}
	}
	return l, nil
}

func (l *Layout) place(path []string) Place {
	last := len(path) - 1
	p := Place{Key: `"` + path[last] + `":`}
	for depth := 1; depth <= last; depth++ {
		name := strings.Join(path[:depth], ".")
		id, ok := l.objects[name]
		if !ok {
			id = uint16(len(l.objects))
			l.objects[name] = id
		}
		p.Objects = append(p.Objects, id)
		p.Open = append(p.Open, `"`+path[depth-1]+`":{`)
	}
	return p
}

// Rank is the position of a field in document order.
func (l *Layout) Rank(id ID) int { return int(l.rank[id]) }

// At is the field at a position in document order.
func (l *Layout) At(rank int) ID { return l.byRank[rank] }

// Place tells where a field stands in the nested document.
func (l *Layout) Place(id ID) *Place { return &l.places[id] }

// Object returns the identifier of the object called name.
func (l *Layout) Object(name string) (uint16, bool) {
	id, ok := l.objects[name]
	return id, ok
}
