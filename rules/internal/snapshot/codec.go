package snapshot

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"unsafe"
)

// Codec writes values to the body of a section, or reads them from it. After
// the first error it reads zeros. It belongs to one goroutine.
type Codec struct {
	// Base is what times are written relative to: the nearer, the shorter.
	Base int64

	b       []byte // What was written; or what is still to be read.
	reading bool
	section string
	size    int // Of the body that is read.
	err     error

	shared map[string]uint64    // Writing: places in the table.
	recent *[256]recentlyShared // Writing: of those, some that came last.
	table  []string             // Reading: the texts of the section so far.
}

// Reading reports whether values are read.
func (c *Codec) Reading() bool { return c.reading }

// Err is the first error in reading.
func (c *Codec) Err() error { return c.err }

// Fail notes that what was read cannot be: it names section and offset. Later
// calls change nothing.
func (c *Codec) Fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("section %q, byte %d: %s", c.section, c.size-len(c.b), fmt.Sprintf(format, args...))
	}
	c.b = nil
}

func (c *Codec) uvarint(v uint64) uint64 {
	if !c.reading {
		if v < 0x80 {
			c.b = append(c.b, byte(v))
			return v
		}
		c.b = binary.AppendUvarint(c.b, v)
		return v
	}
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.Fail("expected a number")
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *Codec) fixed(v uint64) uint64 {
	if !c.reading {
		c.b = binary.LittleEndian.AppendUint64(c.b, v)
		return v
	}
	if len(c.b) < 8 {
		c.Fail("expected 8 bytes, found %d", len(c.b))
		return 0
	}
	v = binary.LittleEndian.Uint64(c.b)
	c.b = c.b[8:]
	return v
}

// Fixed is a number of which all bits are as likely, such as a hash.
func (c *Codec) Fixed(p *uint64) { *p = c.fixed(*p) }

// integer is what Int takes.
type integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Int is a whole number that tends to be small.
func Int[T integer](c *Codec, p *T) {
	v := int64(*p)
	got := c.uvarint(uint64(v)<<1 ^ uint64(v>>63))
	if !c.reading {
		return
	}
	v = int64(got>>1) ^ -int64(got&1)
	*p = T(v)
	if int64(*p) != v {
		*p = 0
		c.Fail("the number %d does not fit", v)
	}
}

// Kinds of times, in the two lowest bits.
const (
	inMilliseconds = iota
	inNanoseconds
	noTime  // Zero.
	farTime // 8 bytes follow.
)

// Time is nanoseconds since 1970, 0 for none.
func (c *Codec) Time(p *int64) {
	if !c.reading {
		const milli = 1_000_000
		d := c.Base - *p
		switch {
		case *p == 0:
			c.uvarint(noTime)
		case d >= 1<<60 || d <= -1<<60:
			c.uvarint(farTime)
			c.fixed(uint64(*p))
		case d%milli == 0:
			c.uvarint(zigzag(d/milli)<<2 + inMilliseconds)
		default:
			c.uvarint(zigzag(d)<<2 + inNanoseconds)
		}
		return
	}
	v := c.uvarint(0)
	d := int64(v>>3) ^ -int64(v>>2&1)
	switch v & 3 {
	case noTime:
		*p = 0
	case farTime:
		*p = int64(c.fixed(0))
	case inMilliseconds:
		*p = c.Base - d*1_000_000
	case inNanoseconds:
		*p = c.Base - d
	}
	if c.err != nil {
		*p = 0
	}
}

func zigzag(d int64) uint64 { return uint64(d)<<1 ^ uint64(d>>63) }

// Float is a number, to the bit.
func (c *Codec) Float(p *float64) { *p = math.Float64frombits(c.fixed(math.Float64bits(*p))) }

// Float32 is a shorter one.
func (c *Codec) Float32(p *float32) {
	v := uint64(math.Float32bits(*p))
	if v = c.uvarint(v); v > math.MaxUint32 {
		c.Fail("expected 32 bits of a number")
		v = 0
	}
	*p = math.Float32frombits(uint32(v))
}

// Bool is yes or no.
func (c *Codec) Bool(p *bool) {
	v := uint64(0)
	if *p {
		v = 1
	}
	if v = c.uvarint(v); v > 1 {
		c.Fail("expected 0 or 1, found %d", v)
	}
	*p = v == 1
}

// take reads a length and so many bytes.
func (c *Codec) take() []byte {
	n := c.uvarint(0)
	if n > uint64(len(c.b)) {
		c.Fail("expected a text of %d bytes, found %d", n, len(c.b))
		return nil
	}
	text := c.b[:n]
	c.b = c.b[n:]
	return text
}

// Text is a text that hardly anything else has.
func (c *Codec) Text(p *string) {
	if c.reading {
		*p = string(c.take())
		return
	}
	c.uvarint(uint64(len(*p)))
	c.b = append(c.b, *p...)
}

// Bytes are bytes.
func (c *Codec) Bytes(p *[]byte) {
	if c.reading {
		*p = append([]byte(nil), c.take()...)
		return
	}
	c.uvarint(uint64(len(*p)))
	c.b = append(c.b, *p...)
}

// Shared is a text that many have in common: it is written once in a section,
// and kept once when it is read.
func (c *Codec) Shared(p *string) {
	if !c.reading {
		r := c.recently(*p)
		if r.place != 0 && r.text == *p {
			c.uvarint(r.place)
			return
		}
		place, known := c.shared[*p]
		if *r = (recentlyShared{*p, place}); !known {
			r.place = uint64(len(c.shared) + 1)
			place = uint64(len(c.shared) + 1)
			if c.shared == nil {
				c.shared = map[string]uint64{}
			}
			c.shared[*p] = place
			c.uvarint(0)
			c.Text(p)
			return
		}
		c.uvarint(place)
		return
	}
	switch place := c.uvarint(0); {
	case place == 0 && c.err == nil:
		c.Text(p)
		c.table = append(c.table, *p)
	case place > uint64(len(c.table)):
		c.Fail("expected one of %d texts, found number %d", len(c.table), place)
		*p = ""
	case place > 0:
		*p = c.table[place-1]
	default:
		*p = ""
	}
}

// recentlyShared is a text that was written lately. Most texts that many have
// in common have their bytes in common, too, and are found by where these are,
// which saves their hash.
type recentlyShared struct {
	text  string
	place uint64 // 0: none.
}

// recently returns where a text would stand among the recent ones.
func (c *Codec) recently(text string) *recentlyShared {
	if c.recent == nil {
		c.recent = new([256]recentlyShared)
	}
	at := uintptr(unsafe.Pointer(unsafe.StringData(text))) // Only a hint: the text itself is compared.
	return &c.recent[(at>>4^at>>12^uintptr(len(text)))%256]
}

// Raw are bytes of a length that both sides know.
func (c *Codec) Raw(b []byte) {
	if !c.reading {
		c.b = append(c.b, b...)
		return
	}
	if len(c.b) < len(b) {
		c.Fail("expected %d bytes, found %d", len(b), len(c.b))
		return
	}
	copy(b, c.b)
	c.b = c.b[len(b):]
}

// Count is the length of a list whose entries take least bytes each at least:
// no list is believed that what follows cannot hold.
func (c *Codec) Count(n, least int) int {
	v := c.uvarint(uint64(n))
	if !c.reading {
		return n
	}
	if v > uint64(len(c.b)/max(least, 1)) {
		c.Fail("expected a list of %d entries, found %d bytes", v, len(c.b))
		return 0
	}
	return int(v)
}

// List is a list, of which each entry is written or read by each. Its memory
// grows with what is read.
func List[T any](c *Codec, p *[]T, each func(*T)) {
	n := c.Count(len(*p), 1)
	if !c.reading {
		for i := range *p {
			each(&(*p)[i])
		}
		return
	}
	*p = nil
	for range n {
		var v T
		if each(&v); c.err != nil {
			*p = nil
			return
		}
		*p = append(*p, v)
	}
}

// Map is a map, in the order of its keys; reading adds to it.
func Map[K comparable, V any](c *Codec, m map[K]V, compare func(a, b K) int, key func(*K), value func(*V)) {
	n := c.Count(len(m), 2)
	if !c.reading {
		for _, k := range slices.SortedFunc(maps.Keys(m), compare) {
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
		if _, twice := m[k]; twice {
			c.Fail("a key is in the snapshot twice")
		}
		if c.err != nil {
			return
		}
		m[k] = v
	}
}
