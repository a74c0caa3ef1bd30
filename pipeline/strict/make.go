package strict

import "slices"

// NewScalar returns a scalar that does not come from a YAML file, such as the value of an environment variable.
// Like the result of WithText it may be decoded into any type that its text fits. The source names where it comes from
// and stands in place of the file in error messages; the text never appears in them.
func NewScalar(source, text string) Node {
	kind := resolve(text)
	if kind == Null {
		kind = String
	}
	return Node{&node{file: source, kind: kind, text: text, derived: true}}
}

// NewMapping returns an empty mapping that does not come from a YAML file.
func NewMapping(source string) Node { return Node{&node{file: source, kind: Mapping}} }

// NewList returns a list that does not come from a YAML file.
func NewList(source string, items ...Node) Node {
	return Node{&node{file: source, kind: List, items: items}}
}

// With returns a copy of a mapping in which a key has another value. A new key goes to the end and has the position of
// its value. An absent node and an empty value count as an empty mapping.
func (n Node) With(key string, value Node) Node {
	c := node{file: value.File(), kind: Mapping}
	if n.n != nil {
		c = *n.n
		c.kind = Mapping
	}
	c.entries = slices.Clone(c.entries)
	for i, e := range c.entries {
		if e.Key.n.text == key {
			c.entries[i].Value = value
			return Node{&c}
		}
	}
	name := &node{file: value.File(), kind: String, text: key}
	name.line, name.column = value.Position()
	c.entries = append(c.entries, Entry{Key: Node{name}, Value: value})
	return Node{&c}
}

// WithItem returns a copy of a list in which one element is replaced; the index behind the last element appends. An
// absent node and an empty value count as an empty list.
func (n Node) WithItem(index int, value Node) Node {
	c := node{file: value.File(), kind: List}
	if n.n != nil {
		c = *n.n
		c.kind = List
	}
	c.items = slices.Clone(c.items)
	if index == len(c.items) {
		c.items = append(c.items, value)
	} else {
		c.items[index] = value
	}
	return Node{&c}
}
