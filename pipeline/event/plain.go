package event

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
	"unsafe"
)

// Eight bytes are looked at together: the constants repeat a byte eight times.
const (
	ones  = 0x0101010101010101
	highs = utf8.RuneSelf * ones
)

// JSONSpecial marks (by its highest bit) the first byte of w, eight bytes with
// the first lowest, that ends or interrupts a plain run of a JSON string: a
// quote, a backslash, a control character, or the beginning of a character
// beyond ASCII. Marks above the first may be wrong; 0 means that all are plain.
func JSONSpecial(w uint64) uint64 {
	quote := w ^ '"'*ones
	slash := w ^ '\\'*ones
	return ((quote-ones)&^quote | (slash-ones)&^slash | (w-0x20*ones)&^w | w) & highs
}

// plainEnd returns where the run of plain bytes that begins at i ends, as far
// as eight bytes at a time tell: whoever calls looks at the rest byte by byte.
func plainEnd(s string, i int) int {
	data := unsafe.Slice(unsafe.StringData(s), len(s))
	for i+8 <= len(data) {
		if mark := JSONSpecial(binary.LittleEndian.Uint64(data[i:])); mark != 0 {
			return i + bits.TrailingZeros64(mark)>>3
		}
		i += 8
	}
	return i
}
