package mappings

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// keys knows every path that some mapping file asks for. A path is a chain of
// object keys; each gets a number from 1. A number also stands for a place in
// the notes that a Mapper takes of a record.
type keys struct {
	byPath map[string]uint16
	paths  []string  // by number, with a dot at the end; "" of the record
	nodes  []keyNode // 0 is the record itself
	names  []keyName // what the table is made of
	table  []keySlot // open addressing
	mask   uint64
	marked int // paths that have a bit
}

type keyNode struct {
	parent uint16
	inner  bool   // longer paths run through it
	word   uint8  // of the mask that bit is in
	bit    uint64 // of the first markedKeys paths that shapes ask for; 0 for others
}

// mark gives a path that a shape asks for a bit of its own, while there are
// any, and adds it to a mask.
func (k *keys) mark(id uint16, mask *keySet) {
	n := &k.nodes[id]
	if n.bit == 0 && k.marked < markedKeys {
		n.word, n.bit = uint8(k.marked>>6), 1<<(k.marked&63)
		k.marked++
	}
	mask[n.word] |= n.bit
}

// keyName says that in the object of path parent the key name is path id.
type keyName struct {
	parent, id uint16
	name       string
}

func newKeys() *keys {
	return &keys{byPath: map[string]uint16{}, nodes: make([]keyNode, 1), paths: make([]string, 1)}
}

// maxKeys keeps numbers within 16 bits.
const maxKeys = 1<<16 - 2

// add returns the number of a dotted path, a new one if need be; 0 when there
// are too many.
func (k *keys) add(path string) uint16 {
	if id, ok := k.byPath[path]; ok {
		return id
	}
	if len(k.nodes) > maxKeys {
		return 0
	}
	parent, name := uint16(0), path
	if dot := strings.LastIndexByte(path, '.'); dot >= 0 {
		parent, name = k.add(path[:dot]), path[dot+1:]
		k.nodes[parent].inner = true
	}
	id := uint16(len(k.nodes))
	k.nodes = append(k.nodes, keyNode{parent: parent})
	k.byPath[path] = id
	k.paths = append(k.paths, path+".")
	k.names = append(k.names, keyName{parent, id, name})
	// Some write nested fields as one dotted key: at the top, or below any object.
	for above := parent; above != 0; {
		above = k.nodes[above].parent
		k.names = append(k.names, keyName{above, id, path[len(k.paths[above]):]})
	}
	return id
}

// keySlot is a place of the table. Ends and length are all of a key of up to
// 16 bytes, as nearly every key is, so that a look-up reads one place of memory.
type keySlot struct {
	ends   keyEnds
	parent uint16
	id     uint16 // 0 of an empty place
	size   uint16 // of the name; the scanner refuses longer keys
	name   uint32 // index into names
}

// keyEnds are the first and the last eight bytes of a key, which overlap in a
// shorter one.
type keyEnds struct{ first, last uint64 }

// wholeEnds is the longest key that its ends tell completely.
const wholeEnds = 16

// freeze builds the table. No add may follow.
func (k *keys) freeze() {
	size := 64
	for size < 3*len(k.names) {
		size *= 2
	}
	k.table, k.mask = make([]keySlot, size), uint64(size-1)
	// Plain names first: whoever comes first has its own place, and dotted keys are rare.
	for _, dotted := range [...]bool{false, true} {
		for i := range k.names {
			if n := &k.names[i]; strings.Contains(n.name, ".") == dotted {
				k.place(n, uint32(i))
			}
		}
	}
}

func (k *keys) place(n *keyName, index uint32) {
	ends := endsOf([]byte(n.name))
	at := ends.hash(n.parent, len(n.name)) & k.mask
	for k.table[at].id != 0 {
		at = (at + 1) & k.mask
	}
	k.table[at] = keySlot{ends, n.parent, n.id, uint16(len(n.name)), index}
}

// find returns the number of the path that key has in the object of path
// parent, 0 when nobody asks for it.
func (k *keys) find(parent uint16, key []byte) uint16 {
	ends := endsOf(key)
	for at := ends.hash(parent, len(key)) & k.mask; ; at = (at + 1) & k.mask {
		slot := &k.table[at]
		if slot.id == 0 {
			return 0
		}
		if slot.ends == ends && slot.parent == parent && int(slot.size) == len(key) &&
			(len(key) <= wholeEnds || k.names[slot.name].name == string(key)) {
			return slot.id
		}
	}
}

func endsOf(key []byte) keyEnds {
	switch n := len(key); {
	case n >= 8:
		return keyEnds{binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[n-8:])}
	case n >= 4:
		return keyEnds{uint64(binary.LittleEndian.Uint32(key)), uint64(binary.LittleEndian.Uint32(key[n-4:]))}
	case n > 0:
		return keyEnds{uint64(key[0]) | uint64(key[n/2])<<8, uint64(key[n-1])}
	}
	return keyEnds{}
}

// hash mixes the ends of a key with its length. Keys that differ only in the
// middle collide; the table is fixed and compares, so that no record can make
// a look-up longer than the table's own longest run.
func (e keyEnds) hash(parent uint16, size int) uint64 {
	const a, b = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03 // odd, without pattern
	high, low := bits.Mul64(e.first^a^uint64(parent)<<32, e.last^b^uint64(size)<<56)
	return high ^ low
}
