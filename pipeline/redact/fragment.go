package redact

import (
	"strings"
)

// fragment redacts the JSON of a vendor's own field called key. What it
// returns is valid until the next call, and is JSON again.
func (r *Redactor) fragment(w *work, key, json string) ([]byte, bool) {
	if r.dull(w, key, json) {
		return nil, false
	}
	var out []byte // Made only where something changes, which is rare.
	done := 0
	list := argumentList{key: -1}
	for t := newTokens(key, json); t.next(); {
		var replacement string
		kind := w.kindOf(t.key)
		keep := -1 // what stays of a word of a command that the others give away
		if r.secrets && kind == commandKey {
			keep = list.next(w, t)
		}
		switch {
		case keep >= 0:
			if replacement = t.text[:keep] + mark; t.number {
				replacement = `"` + replacement + `"`
			}
		case r.secrets && t.number && kind == secretKey:
			replacement = `"` + mark + `"`
		case t.number:
			continue
		case r.secrets && kind == secretKey && !(t.key == "PWD" && isPath(t.text)):
			replacement = mark
		case r.users != "keep" && t.user():
			name, changed := r.person(w, t.text, true)
			if !changed {
				continue
			}
			replacement = string(name)
		default:
			text, changed := r.text(w, t.text, kind == commandKey, true)
			if !changed {
				continue
			}
			replacement = string(text)
		}
		if replacement == t.text || t.text == "" {
			continue
		}
		if !wholeEscapes(replacement) { // A user's pattern has cut one.
			replacement = mark
		}
		out = append(append(out, json[done:t.begin]...), replacement...)
		done = t.end
	}
	if done == 0 {
		return nil, false
	}
	return append(out, json[done:]...), true
}

// dull reports whether a field is a scalar that has nothing to redact, as nearly
// all are, without going through its tokens.
func (r *Redactor) dull(w *work, key, json string) bool {
	if json == "" || r.users != "keep" || len(r.patterns) > 0 {
		return false
	}
	switch c := json[0]; {
	case c == '{', c == '[':
		return false
	case c == '"' && (len(json) < 2 || r.secrets && mayHoldSecret(json[1:len(json)-1])):
		return false
	}
	return !r.secrets || w.kindOf(key[strings.LastIndexByte(key, '.')+1:]) != secretKey
}

// wholeEscapes reports whether the inside of a JSON string has no broken
// escape.
func wholeEscapes(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		size := escapeSize(s, i)
		if size == 0 {
			return false
		}
		i += size - 1
	}
	return true
}

// escapeSize is the length of the escape of JSON that begins at i; 0 when it
// is none.
func escapeSize(s string, i int) int {
	if i+1 >= len(s) || strings.IndexByte(`"\/bfnrtu`, s[i+1]) < 0 {
		return 0
	}
	if s[i+1] != 'u' {
		return 2
	}
	if i+6 > len(s) {
		return 0
	}
	for _, c := range []byte(s[i+2 : i+6]) {
		if c-'0' >= 10 && c|0x20-'a' >= 6 {
			return 0
		}
	}
	return 6
}

// collect notes the names of people in a vendor's own field.
func (r *Redactor) collect(w *work, key, json string) {
	for t := newTokens(key, json); t.next(); {
		if !t.number && t.user() {
			r.person(w, t.text, true)
		}
	}
}

// keyKind is what the name of a vendor's field says of its value.
type keyKind uint8

const (
	ordinaryKey keyKind = iota
	secretKey
	commandKey
)

// maxKinds bounds the names whose kind is remembered. Vendors have some
// hundreds; whoever sends more pays for looking at each.
const maxKinds = 4096

// kindOf looks at a name once.
func (w *work) kindOf(key string) keyKind {
	kind, known := w.kinds[key]
	if known {
		return kind
	}
	switch {
	case isSecretKey(key):
		kind = secretKey
	case isCommandKey(key):
		kind = commandKey
	}
	if len(w.kinds) < maxKinds {
		w.kinds[strings.Clone(key)] = kind
	}
	return kind
}

func isCommandKey(key string) bool {
	for _, part := range [...]string{"command", "cmdline", "imagepath", "servicefilename", "args"} {
		if containsFold(key, part) {
			return true
		}
	}
	return false
}

func containsFold(s, part string) bool {
	for i := 0; i+len(part) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(part)], part) {
			return true
		}
	}
	return false
}

// tokens goes through the texts and numbers of valid JSON.
type tokens struct {
	json       string
	at         int
	key        string // of the value at hand
	keyEnd     int    // where the value begins that has the key
	text       string // of it, escaped as it stands
	begin, end int    // where the text stands
	number     bool
	depth      int
	userDepth  int // of the object called user that the value is in; 0 for none
}

func newTokens(key, json string) tokens {
	if i := strings.LastIndexByte(key, '.'); i >= 0 && strings.HasSuffix(key[:i], "user") {
		key = "user" + key[i+1:] // user.name is the name of a user.
	} else if i >= 0 {
		key = key[i+1:]
	}
	return tokens{json: json, key: key}
}

// next moves on to the next text or number that is a value.
func (t *tokens) next() bool {
	for t.at < len(t.json) {
		c := t.json[t.at]
		switch {
		case c == '{':
			t.depth++
			if t.userDepth == 0 && hasSuffixFold(t.key, "user") {
				t.userDepth = t.depth
			}
		case c == '}':
			if t.depth == t.userDepth {
				t.userDepth = 0
			}
			t.depth--
		case c == '"':
			t.string()
			if t.at < len(t.json) && t.json[t.at] == ':' {
				t.key = t.text
				t.at++
				t.keyEnd = t.at
				continue
			}
			t.number = false
			return true
		case c == '-' || c-'0' < 10:
			t.begin = t.at
			for t.at < len(t.json) && strings.IndexByte("+-.eE0123456789", t.json[t.at]) >= 0 {
				t.at++
			}
			t.end, t.number = t.at, true
			t.text = t.json[t.begin:t.end]
			return true
		}
		t.at++
	}
	return false
}

// string reads a string and the white space behind it.
func (t *tokens) string() {
	t.begin = t.at + 1
	i := t.begin
	for i < len(t.json) && t.json[i] != '"' {
		if t.json[i] == '\\' {
			i++
		}
		i++
	}
	t.end = min(i, len(t.json))
	t.text = t.json[t.begin:t.end]
	for i++; i < len(t.json) && isSpace(t.json[i]); i++ {
	}
	t.at = i
}

// user reports whether the value at hand names a person.
func (t *tokens) user() bool {
	if t.userDepth > 0 {
		switch strings.ToLower(t.key) {
		case "name", "id", "identifier", "email", "full_name":
			return true
		}
	}
	for _, end := range [...]string{"username", "user_name", "useremail", "user_email", "accountname", "loginname", "useridentifier"} {
		if hasSuffixFold(t.key, end) {
			return true
		}
	}
	switch strings.ToLower(t.key) {
	case "user", "email", "mail", "upn", "userprincipalname", "lastloggedinuser", "lastloggedinusername", "detection_user", "detection user",
		"lastuser", "lastinteractiveuser", "usersid", "subjectusersid", "targetusersid", "userid":
		return true
	}
	return false
}
