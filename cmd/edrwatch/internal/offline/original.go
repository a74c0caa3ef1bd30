package offline

import "unicode/utf8"

// setOriginal keeps the record as text where it is text and otherwise as
// base64, so that nothing of it is lost.
func (d *deadLine) setOriginal(value []byte) {
	if utf8.Valid(value) {
		d.Original = string(value)
		return
	}
	d.Base64 = value
}
