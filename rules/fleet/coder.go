package fleet

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// coder writes state down, or reads it: what is kept is listed once, in one
// order, for both. After the first error it reads zeros.
type coder struct {
	b       []byte // what is written, or the rest of what is read
	size    int    // of all that is read
	reading bool
	err     error
}

func (c *coder) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("state of the fleet: expected %s at byte %d of %d", what, c.size-len(c.b), c.size)
	}
	c.b = nil
}

func (c *coder) int64(v *int64) {
	if !c.reading {
		c.b = binary.AppendVarint(c.b, *v)
		return
	}
	n, read := binary.Varint(c.b)
	if read <= 0 {
		c.fail("a number")
		n, read = 0, 0
	}
	*v, c.b = n, c.b[read:]
}

func (c *coder) int(v *int) {
	n := int64(*v)
	c.int64(&n)
	*v = int(n)
}

func (c *coder) bool(v *bool) {
	n := int64(0)
	if *v {
		n = 1
	}
	c.int64(&n)
	*v = n != 0
}

func (c *coder) float(v *float64) {
	if !c.reading {
		c.b = binary.LittleEndian.AppendUint64(c.b, math.Float64bits(*v))
		return
	}
	if len(c.b) < 8 {
		c.fail("a number of 8 bytes")
		*v = 0
		return
	}
	*v, c.b = math.Float64frombits(binary.LittleEndian.Uint64(c.b)), c.b[8:]
	if math.IsNaN(*v) || math.IsInf(*v, 0) {
		c.fail("a finite number")
		*v = 0
	}
}

func (c *coder) floats(list []float64) {
	for i := range list {
		c.float(&list[i])
	}
}

// length writes or reads how many entries follow, of at least a byte each.
func (c *coder) length(n int) int {
	c.int(&n)
	if c.reading && (n < 0 || n > len(c.b)) {
		c.fail("a number of entries")
		return 0
	}
	return n
}

func (c *coder) text(v *string) {
	n := c.length(len(*v))
	if !c.reading {
		c.b = append(c.b, *v...)
		return
	}
	*v, c.b = string(c.b[:n]), c.b[n:]
}

func (c *coder) bytes(v *[]byte) {
	n := c.length(len(*v))
	if !c.reading {
		c.b = append(c.b, *v...)
		return
	}
	*v, c.b = c.b[:n:n], c.b[n:]
}

// listOf codes a list of any length; nil stays nil.
func listOf[T any](c *coder, list *[]T, entry func(*T)) {
	n := c.length(len(*list))
	if !c.reading {
		for i := range *list {
			entry(&(*list)[i])
		}
		return
	}
	*list = nil
	for range n {
		var v T
		entry(&v)
		*list = append(*list, v)
	}
}

// mapOf codes a map in the order of its keys.
func mapOf[K comparable, V any](c *coder, m map[K]V, compare func(a, b K) int, key func(*K), value func(*V)) {
	n := c.length(len(m))
	if !c.reading {
		for _, k := range sortedKeys(m, compare) {
			v := m[k]
			key(&k)
			value(&v)
		}
		return
	}
	for range n {
		var k K
		var v V
		key(&k)
		value(&v)
		if _, twice := m[k]; twice && c.err == nil {
			c.fail("a key only once")
		}
		m[k] = v
	}
}

// window codes a ring of steps from the oldest on, so that its length may
// change with a release.
func windowOf[T any](c *coder, ring []T, at *int, entry func(*T)) {
	if !c.reading {
		ordered := slices.Concat(ring[*at+1:], ring[:*at+1])
		listOf(c, &ordered, entry)
		return
	}
	var ordered []T
	listOf(c, &ordered, entry)
	if len(ordered) > len(ring) {
		ordered = ordered[len(ordered)-len(ring):]
	}
	copy(ring[len(ring)-len(ordered):], ordered)
	*at = len(ring) - 1
}
