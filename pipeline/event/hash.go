package event

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// HashID returns 128 bits of SHA-256 over the parts, in hexadecimal, for ids
// that are made of what a thing is: things are found again by them, and two
// that collide would be taken for one.
func HashID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		// The length keeps ("a", "bc") apart from ("ab", "c").
		h.Write(strconv.AppendInt(nil, int64(len(p)), 10))
		h.Write([]byte{':'})
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
