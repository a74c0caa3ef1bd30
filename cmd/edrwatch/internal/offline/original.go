package offline

import (
	"strings"
	"unicode/utf8"
)

// setOriginal keeps the record as text. Where it is not UTF-8 the text shows
// what can be shown, and base64 keeps the bytes, so that nothing is lost.
func (d *deadLine) setOriginal(value []byte) {
	d.Original = strings.ToValidUTF8(string(value), "\ufffd")
	if !utf8.Valid(value) {
		d.Base64 = value
	}
}
