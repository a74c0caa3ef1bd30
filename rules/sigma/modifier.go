package sigma

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
)

// modifiers say how the values of a field are compared.
type modifiers struct {
	shape     string // contains, startswith, endswith.
	all       bool
	cased     bool
	exists    bool
	fieldref  bool
	cidr      bool
	re        bool
	neq       bool
	flags     string // Of re.
	compare   string // lt, lte, gt, gte.
	encodings []string
}

func parseModifiers(list []string) (m modifiers, err error) {
	for _, name := range list {
		switch name {
		case "contains", "startswith", "endswith":
			m.shape = name
		case "all":
			m.all = true
		case "cased":
			m.cased = true
		case "exists":
			m.exists = true
		case "fieldref":
			m.fieldref = true
		case "cidr":
			m.cidr = true
		case "re":
			m.re = true
		case "neq":
			m.neq = true
		case "i", "m", "s":
			if !m.re {
				return m, fmt.Errorf("modifier %s stands after re", name)
			}
			m.flags += name
		case "lt", "lte", "gt", "gte":
			m.compare = name
		case "windash", "base64", "base64offset", "wide", "utf16le", "utf16be", "utf16":
			m.encodings = append(m.encodings, name)
		case "expand":
			return m, fmt.Errorf("modifier expand needs the placeholders of another system: write the values out, or use a list")
		default:
			return m, fmt.Errorf("modifier %q is not supported", name)
		}
	}
	return m, nil
}

func (m *modifiers) operator() string {
	switch m.compare {
	case "lt":
		return "<"
	case "lte":
		return "<="
	case "gt":
		return ">"
	case "gte":
		return ">="
	}
	return "=="
}

// Limits of a value: its length in bytes, of which more than all of a condition
// may have cannot be compared, and what its variants may come to.
const (
	maxValue    = 16 << 10
	maxVariants = 256
)

// patterns are what the value stands for, with * and ? as wildcards.
func (m *modifiers) patterns(text string) ([]string, error) {
	if len(text) > maxValue {
		return nil, fmt.Errorf("the value has %d bytes, at most %d are allowed", len(text), maxValue)
	}
	values := []string{text}
	for _, encoding := range m.encodings {
		var encoded []string
		for _, v := range values {
			if encoding != "windash" && wild(v) {
				return nil, fmt.Errorf("%s of a value with wildcards has no meaning", encoding)
			}
			encoded = append(encoded, encode(encoding, v)...)
		}
		if len(encoded) > maxVariants {
			return nil, fmt.Errorf("windash makes more than %d variants of the value", maxVariants)
		}
		values = encoded
	}
	for i, v := range values {
		if m.shape == "contains" || m.shape == "endswith" {
			v = "*" + v
		}
		if m.shape == "contains" || m.shape == "startswith" {
			if strings.HasSuffix(v, `\`) && !strings.HasSuffix(v, `\\`) {
				v += `\` // A path's last separator must not escape the star.
			}
			v += "*"
		}
		values[i] = v
	}
	return values, nil
}

// encode applies one modifier that changes the value.
func encode(name, v string) []string {
	switch name {
	case "windash":
		return dashes(v)
	case "base64":
		return []string{base64.StdEncoding.EncodeToString([]byte(unescape(v)))}
	case "base64offset":
		return offsets(unescape(v))
	}
	units := utf16.Encode([]rune(unescape(v)))
	var b []byte
	if name == "utf16" {
		b = append(b, 0xff, 0xfe)
	}
	for _, u := range units {
		if name == "utf16be" {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return []string{string(b)}
}

// offsets are the three forms that a text can have inside of a longer one that
// is encoded in base64, without the characters that depend on what is around.
func offsets(v string) []string {
	start, cut := [3]int{0, 2, 3}, [3]int{0, 3, 2}
	list := make([]string, 3)
	for i := range list {
		e := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", i) + v))
		list[i] = e[start[i] : len(e)-cut[(len(v)+i)%3]]
	}
	return list
}

// dashes writes the value with every character that Windows takes for the
// beginning of an option.
func dashes(v string) []string {
	// A dash or slash at the start of a word, as in pySigma.
	places := regexp.MustCompile(`\B[-/]\b`).FindAllStringIndex(v, -1)
	list := []string{v}
	for i := len(places) - 1; i >= 0 && len(list) <= maxVariants; i-- {
		var next []string
		for _, s := range list {
			for _, dash := range []string{"-", "/", "–", "—", "―"} {
				next = append(next, s[:places[i][0]]+dash+s[places[i][1]:])
			}
		}
		list = next
	}
	return list
}

// wild reports whether a value has wildcards.
func wild(v string) bool {
	for i := 0; i < len(v); i++ {
		switch {
		case v[i] == '\\' && i+1 < len(v) && strings.IndexByte(`*?\`, v[i+1]) >= 0:
			i++
		case v[i] == '*' || v[i] == '?':
			return true
		}
	}
	return false
}

// unescape takes the backslashes before wildcards and backslashes out.
func unescape(v string) string {
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+1 < len(v) && strings.IndexByte(`*?\`, v[i+1]) >= 0 {
			i++
		}
		b.WriteByte(v[i])
	}
	return b.String()
}

// regexOf writes a pattern with wildcards as a regular expression.
func regexOf(v string) string {
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		switch {
		case v[i] == '\\' && i+1 < len(v) && strings.IndexByte(`*?\`, v[i+1]) >= 0:
			i++
			b.WriteString(regexp.QuoteMeta(v[i : i+1]))
		case v[i] == '*':
			b.WriteString(".*")
		case v[i] == '?':
			b.WriteString(".")
		case v[i] >= 0x80:
			b.WriteByte(v[i])
		default:
			b.WriteString(regexp.QuoteMeta(v[i : i+1]))
		}
	}
	return b.String()
}
