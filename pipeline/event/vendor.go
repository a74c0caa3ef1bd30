package event

import (
	"encoding/json"
	"strings"
)

// VendorText returns the text of a vendor's own field, kept by [Event.Extra]:
// path is its name below the vendor's root, such as event_data.NewValue. It is
// false for what is missing, null, an object or an array. Numbers and booleans
// are as the record wrote them.
func (e *Event) VendorText(path string) (string, bool) {
	for i := range e.extras {
		x := &e.extras[i]
		rest, ok := strings.CutPrefix(path, x.key)
		switch {
		case !ok:
		case rest == "":
			return scalarText(x.json)
		case rest[0] == '.':
			if s, ok := memberText(x.json, rest[1:]); ok {
				return s, true
			}
		}
	}
	return "", false
}

// scalarText decodes a string, number or boolean.
func scalarText(fragment string) (string, bool) {
	fragment = strings.TrimSpace(fragment)
	switch {
	case fragment == "" || fragment == "null" || fragment[0] == '{' || fragment[0] == '[':
		return "", false
	case fragment[0] != '"':
		return fragment, true
	case strings.IndexByte(fragment, '\\') < 0 && len(fragment) > 1:
		return fragment[1 : len(fragment)-1], true
	}
	var s string
	err := json.Unmarshal([]byte(fragment), &s)
	return s, err == nil
}

// memberText looks a dotted path up in an object. A member whose name has dots
// of its own is found, too.
func memberText(object, path string) (string, bool) {
	object = strings.TrimSpace(object)
	if object == "" || object[0] != '{' {
		return "", false
	}
	for rest := object[1:]; ; {
		rest = strings.TrimLeft(rest, " \t\r\n,")
		if rest == "" || rest[0] != '"' {
			return "", false
		}
		key := rest[:valueEnd(rest)]
		rest = strings.TrimLeft(rest[len(key):], " \t\r\n:")
		value := rest[:valueEnd(rest)]
		rest = rest[len(value):]
		name, _ := scalarText(key)
		if below, ok := strings.CutPrefix(path, name); ok {
			var s string
			found := false
			if below == "" {
				s, found = scalarText(value)
			} else if below[0] == '.' {
				s, found = memberText(value, below[1:])
			}
			if found {
				return s, true
			}
		}
		if value == "" {
			return "", false
		}
	}
}

// valueEnd is the length of the JSON value that a text begins with.
func valueEnd(s string) int {
	depth, inText := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			if inText = !inText; !inText && depth == 0 {
				return i + 1
			}
		case inText:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && (c == ',' || c <= ' '):
			return i
		}
	}
	return len(s)
}
