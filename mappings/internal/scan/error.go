package scan

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Error says where a text stops being acceptable JSON.
type Error struct {
	Offset   int    // bytes from the beginning
	Expected string // what could have stood there
	Found    string // the text at that place
	TooLarge bool   // a limit on the size is exceeded, not the grammar violated
}

func (e *Error) Error() string {
	return "offset " + strconv.Itoa(e.Offset) + ": expected " + e.Expected + ", found " + e.Found
}

// fail notes the first error and returns i.
func (t *Tape) fail(i int, expected string) int {
	if t.err == nil {
		t.err = &Error{Offset: i, Expected: expected, Found: Describe(t.Data, i)}
	}
	return i
}

// Describe names what stands in data at offset i, for messages: never more
// than a few characters of it, with nothing unprintable.
func Describe(data []byte, i int) string {
	if i == 0 {
		if magic := magicOf(data); magic != "" {
			return magic
		}
	}
	if i >= len(data) {
		return "the end of the record"
	}
	c := data[i]
	if c < 0x20 || c == 0x7f {
		return fmt.Sprintf("the control character 0x%02x", c)
	}
	if r, size := utf8.DecodeRune(data[i:]); r == utf8.RuneError && size <= 1 {
		return fmt.Sprintf("the byte 0x%02x, which is not UTF-8", c)
	} else if r >= utf8.RuneSelf {
		return strconv.QuoteToASCII(string(r))
	}
	const longest = 12
	end := i
	for end < len(data) && end-i < longest && isWord(data[end]) {
		end++
	}
	if end == i {
		return strconv.QuoteRuneToASCII(rune(c))
	}
	return strconv.Quote(string(data[i:end]))
}

func isWord(c byte) bool {
	return c-'0' < 10 || c|0x20-'a' < 26 || c == '_' || c == '-' || c == '+' || c == '.'
}

// magicOf recognises formats that arrive by mistake, by their first bytes.
func magicOf(data []byte) string {
	has := func(prefix string) bool { return len(data) >= len(prefix) && string(data[:len(prefix)]) == prefix }
	switch {
	case len(data) == 0:
		return "an empty record"
	case has("\x00") && len(data) > 5:
		return "the magic byte 0x00 of a schema registry (Avro, Protobuf or JSON Schema framing)"
	case has("Obj\x01"):
		return "an Avro container"
	case has("\xff\xfe"), has("\xfe\xff"):
		return "UTF-16 text"
	case has("\x1f\x8b"):
		return "gzip data"
	case has("\x28\xb5\x2f\xfd"):
		return "zstd data"
	case has("<"):
		return "XML"
	case has("CEF:"):
		return "CEF text"
	}
	return ""
}

func sizeOf(n int) string    { return strconv.Itoa(n) + " bytes" }
func sizeLimit(n int) string { return "at most " + strconv.Itoa(n) + " bytes" }
func depthLimit(n int) string {
	return "at most " + strconv.Itoa(n) + " objects and arrays inside each other"
}
func valueLimit(n int) string  { return "at most " + strconv.Itoa(n) + " values" }
func keyLimit(n int) string    { return "a key of at most " + strconv.Itoa(n) + " bytes" }
func numberLimit(n int) string { return "a number of at most " + strconv.Itoa(n) + " characters" }
