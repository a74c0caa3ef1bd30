// Package cef reads the Common Event Format of ArcSight (version 25 of its
// implementation standard): a header of seven fields between bars and an
// extension of key=value pairs, with or without a syslog header before it.
package cef

import (
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Error says where a text stops being CEF.
type Error struct {
	Offset   int    // bytes from the beginning of the text
	Expected string // what could have stood there
	Found    string // the text at that place
}

func (e *Error) Error() string {
	return "offset " + strconv.Itoa(e.Offset) + ": expected " + e.Expected + ", found " + e.Found
}

// Parser keeps room between texts, so that a warm one allocates nothing. It
// belongs to one goroutine.
type Parser struct {
	pairs []pair
}

// pair is a key=value pair: where key and value stand in the text, and where
// the value stands in what was made of it.
type pair struct{ key, equals, end, from, to int }

// maxPairs bounds what a hostile text can cost.
const maxPairs = 512

// headerKeys are the keys of the JSON object by the header's fields, named as
// Filebeat's decode_cef names them.
var headerKeys = [...]string{`{"version":`, `,"device":{"vendor":`, `,"product":`, `,"version":`, `,"event_class_id":`, `},"name":`, `,"severity":`}

// AppendJSON appends text as a JSON object {version, device {vendor, product,
// version, event_class_id}, name, severity, prefix, extensions {...}, labels
// {...}}. Prefix is what stands before "CEF:", such as a syslog header.
// Extensions have the names that the text uses. Labels are the custom fields
// by their own labels in lower case, with _ for what is not a letter or a
// digit: cs1Label=agent version cs1=7.2 is labels.agent_version. On an
// error, an *Error, what was appended means nothing.
func (p *Parser) AppendJSON(dst []byte, text string) ([]byte, error) {
	start := strings.Index(text, "CEF:")
	if start < 0 {
		return dst, &Error{0, `"CEF:"`, found(text, 0)}
	}
	at := start + len("CEF:")
	for i, key := range headerKeys {
		end := fieldEnd(text, at)
		if end == len(text) && i < len(headerKeys)-1 {
			return dst, &Error{end, "'|' after field " + strconv.Itoa(i+1) + " of 7 of the header", found(text, end)}
		}
		dst = append(dst, key...)
		dst = appendValue(dst, strings.TrimSpace(text[at:end]), false)
		at = min(end+1, len(text))
	}
	if prefix := strings.TrimSpace(text[:start]); prefix != "" {
		dst = event.AppendString(append(dst, `,"prefix":`...), prefix)
	}
	p.split(text, at)
	dst = append(dst, `,"extensions":{`...)
	for i := range p.pairs {
		pair := &p.pairs[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, text[pair.key:pair.equals]...)
		dst = append(dst, '"', ':')
		pair.from = len(dst)
		dst = appendValue(dst, text[pair.equals+1:pair.end], true)
		pair.to = len(dst)
	}
	dst = append(dst, '}')
	return append(p.appendLabels(dst, text), '}'), nil
}

// fieldEnd returns where the header's field at i ends: at its bar, or at the
// end of the text.
func fieldEnd(text string, i int) int {
	for ; i < len(text); i++ {
		switch text[i] {
		case '|':
			return i
		case '\\':
			i++
		}
	}
	return len(text)
}

// split finds the pairs of the extension. A value reaches up to the space
// before the next key, so that values may hold spaces and, although the
// standard wants them escaped, equal signs.
func (p *Parser) split(text string, at int) {
	p.pairs = p.pairs[:0]
	for from := at; len(p.pairs) < maxPairs; {
		equals := strings.IndexByte(text[from:], '=')
		if equals < 0 {
			break
		}
		equals += from
		word := equals
		for word > from && isKeyByte(text[word-1]) {
			word--
		}
		// A key stands behind white space; an equal sign in a value, escaped or not, has none.
		if word < equals && (word == at || word > at && strings.IndexByte(" \n\t", text[word-1]) >= 0) {
			if n := len(p.pairs); n > 0 {
				p.pairs[n-1].end = max(trimRight(text, word), p.pairs[n-1].equals+1)
			}
			p.pairs = append(p.pairs, pair{key: word, equals: equals, end: len(text)})
		}
		from = equals + 1
	}
	if n := len(p.pairs); n > 0 {
		last := &p.pairs[n-1]
		last.end = max(trimRight(text, last.end), last.equals+1)
	}
}

func trimRight(text string, end int) int {
	for end > 0 && (text[end-1] == ' ' || text[end-1] == '\n' || text[end-1] == '\r' || text[end-1] == '\t') {
		end--
	}
	return end
}

func isKeyByte(c byte) bool {
	return c|0x20-'a' < 26 || c-'0' < 10 || c == '_' || c == '-' || c == '.' || c == '[' || c == ']'
}

// appendLabels appends the custom fields by the names that their labels give.
func (p *Parser) appendLabels(dst []byte, text string) []byte {
	first := true
	for i := range p.pairs {
		label := &p.pairs[i]
		base, ok := strings.CutSuffix(text[label.key:label.equals], "Label")
		if !ok || base == "" {
			continue
		}
		value, ok := p.labelled(text, i, base)
		if !ok {
			continue
		}
		if first {
			dst = append(dst, `,"labels":{`...)
		} else {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, '"')
		dst = appendName(dst, text[label.equals+1:label.end])
		dst = append(dst, '"', ':')
		dst = append(dst, dst[value.from:value.to]...)
	}
	if !first {
		dst = append(dst, '}')
	}
	return dst
}

// labelled finds the custom field that the label with the index names. It
// stands beside its label in nearly every text.
func (p *Parser) labelled(text string, label int, base string) (*pair, bool) {
	for _, i := range [...]int{label + 1, label - 1} {
		if i >= 0 && i < len(p.pairs) && text[p.pairs[i].key:p.pairs[i].equals] == base {
			return &p.pairs[i], true
		}
	}
	for i := range p.pairs {
		if value := &p.pairs[i]; text[value.key:value.equals] == base {
			return value, true
		}
	}
	return nil, false
}

func appendName(dst []byte, label string) []byte {
	for i := range len(label) {
		c := label[i]
		switch {
		case c-'A' < 26:
			c |= 0x20
		case c-'a' >= 26 && c-'0' >= 10:
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

// appendValue appends a value as a JSON string. Of the escape sequences the
// header knows \| and \\, the extension \=, \\, \n and \r; a backslash before
// anything else stands for itself, because Windows paths come unescaped.
func appendValue(dst []byte, value string, extension bool) []byte {
	if strings.IndexByte(value, '\\') < 0 {
		return event.AppendString(dst, value)
	}
	dst = append(dst, '"')
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c == '\\' && i+1 < len(value) {
			switch next := value[i+1]; {
			case next == '\\' || next == '|' || next == '=':
				c = next
				i++
			case extension && next == 'n':
				c = '\n'
				i++
			case extension && next == 'r':
				c = '\r'
				i++
			}
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c < 0x20:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

func found(text string, i int) string {
	if i >= len(text) {
		return "the end of the text"
	}
	return strconv.Quote(text[i:min(i+12, len(text))])
}
