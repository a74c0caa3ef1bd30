// Package keyvalue reads texts of key=value pairs, as the Linux audit system,
// syslog daemons and many appliances write them.
package keyvalue

import (
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Error says that a text holds no pair.
type Error struct {
	Offset   int
	Expected string
	Found    string
}

func (e *Error) Error() string {
	return "offset " + strconv.Itoa(e.Offset) + ": expected " + e.Expected + ", found " + e.Found
}

// maxPairs bounds what a hostile text can cost.
const maxPairs = 512

// AppendJSON appends the pairs of text as a flat JSON object of strings. Keys
// consist of letters, digits, _, - and dots, which become _. A value in double
// or single quotes reaches to its closing quote, with \" for the quote itself;
// any other up to white space, commas and semicolons at its end left away.
// What is not part of a pair is skipped. A text without a pair is an *Error.
func AppendJSON(dst []byte, text string) ([]byte, error) {
	dst = append(dst, '{')
	count, word := 0, 0
	for i := 0; i < len(text) && count < maxPairs; i++ {
		c := text[i]
		if c == '=' && i > word {
			if count > 0 {
				dst = append(dst, ',')
			}
			count++
			dst = append(dst, '"')
			for _, k := range []byte(text[word:i]) {
				if k == '.' {
					k = '_'
				}
				dst = append(dst, k)
			}
			dst = append(dst, '"', ':')
			dst, i = appendValue(dst, text, i+1)
			word = i + 1
			continue
		}
		if !isKeyByte(c) {
			word = i + 1
		}
	}
	if count == 0 {
		found := "the end of the text"
		if text != "" {
			found = strconv.Quote(text[:min(len(text), 12)])
		}
		return dst, &Error{0, "at least one pair of the form key=value", found}
	}
	return append(dst, '}'), nil
}

// appendValue appends the value at i as a JSON string and returns the offset
// of what ends it.
func appendValue(dst []byte, text string, i int) ([]byte, int) {
	if i < len(text) && (text[i] == '"' || text[i] == '\'') {
		if end, escaped := quoteEnd(text, i); end > 0 {
			value := text[i+1 : end]
			if escaped {
				value = strings.ReplaceAll(value, `\`+text[i:i+1], text[i:i+1])
			}
			return event.AppendString(dst, value), end
		}
	}
	end := i
	for end < len(text) && text[end] > ' ' && text[end] != 0x7f {
		end++
	}
	return event.AppendString(dst, strings.TrimRight(text[i:end], ",;")), end
}

// quoteEnd returns where the quote at i is closed, 0 when it is not.
func quoteEnd(text string, i int) (end int, escaped bool) {
	for end = i + 1; end < len(text); end++ {
		switch text[end] {
		case text[i]:
			return end, escaped
		case '\\':
			end++
			escaped = true
		}
	}
	return 0, false
}

func isKeyByte(c byte) bool {
	return c|0x20-'a' < 26 || c-'0' < 10 || c == '_' || c == '-' || c == '.'
}
