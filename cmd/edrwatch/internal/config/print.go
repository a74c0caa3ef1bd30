package config

import (
	"encoding"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Print writes the effective configuration as YAML: every value with a comment that says where it comes from, which is
// "default", file and line, or the name of an environment variable. Secrets and what was read from files are redacted;
// but for these the output is a configuration that means the same.
func (l *Loaded) Print(w io.Writer) error {
	p := printer{}
	p.structure(reflect.ValueOf(&l.Config).Elem(), l.root, "", "")
	column := 0
	for _, line := range p.lines {
		const widest = 60
		if width := utf8.RuneCountInString(line.text); line.comment != "" && width <= widest {
			column = max(column, width)
		}
	}
	var out strings.Builder
	for _, line := range p.lines {
		out.WriteString(line.text)
		if line.comment != "" {
			out.WriteString(strings.Repeat(" ", max(0, column-utf8.RuneCountInString(line.text))) + "  # " + line.comment)
		}
		out.WriteByte('\n')
	}
	_, err := io.WriteString(w, out.String())
	return err
}

type printedLine struct{ text, comment string }

type printer struct{ lines []printedLine }

// structure prints the keys of a struct. first stands in front of the first line in place of the indentation, for
// elements of lists.
func (p *printer) structure(v reflect.Value, n strict.Node, indent, first string) {
	if first == "" {
		first = indent
	}
	for _, k := range keysOf(v) {
		p.value(first+k.name+":", indent, k.value, n.Get(k.name), k.name)
		first = indent
	}
}

func (p *printer) value(text, indent string, v reflect.Value, n strict.Node, key string) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			p.line(text, origin(n))
			return
		}
		v = v.Elem()
	}
	deeper := indent + "  "
	switch formOf(v.Type()) {
	case formStruct:
		p.line(text, "")
		p.structure(filled(v), n, deeper, "")
	case formList:
		if v.Len() == 0 {
			p.line(text+" []", origin(n))
			return
		}
		p.line(text, "")
		for i := range v.Len() {
			p.structure(filled(v.Index(i)), item(n, i), deeper+"  ", deeper+"- ")
		}
	case formTexts:
		if v.Len() == 0 {
			p.line(text+" []", origin(n))
			return
		}
		p.line(text, "")
		for i := range v.Len() {
			from := item(n, i)
			if from.IsZero() {
				from = n
			}
			p.line(deeper+"- "+scalar(v.Index(i), from, key), origin(from))
		}
	case formMap:
		if v.Len() == 0 {
			p.line(text+" {}", origin(n))
			return
		}
		p.line(text, "")
		for _, name := range sortedKeys(v) {
			own := fmt.Sprint(name)
			p.value(deeper+quoted(own)+":", deeper, filled(v.MapIndex(name)), n.Get(own), own)
		}
	default:
		p.line(text+" "+scalar(v, n, key), origin(n))
	}
}

func (p *printer) line(text, comment string) {
	p.lines = append(p.lines, printedLine{strings.TrimRight(text, " "), comment})
}

// origin says where a value comes from.
func origin(n strict.Node) string {
	if n.IsZero() {
		return "default"
	}
	line, _ := n.Position()
	if line == 0 {
		return "env " + n.File()
	}
	text := fmt.Sprintf("%s:%d", n.File(), line)
	if written, ok := n.Written(); ok && !strings.ContainsAny(written, "\n\r") {
		text += " " + written
	}
	return text
}

// sensitive matches names of settings, such as HTTP headers, whose values are not shown although they are plain texts.
var sensitive = regexp.MustCompile(`(?i)(auth|token|passw|secret|api.?key|cookie|credential)`)

// scalar returns a value as YAML.
func scalar(v reflect.Value, n strict.Node, key string) string {
	v = filled(v)
	if isDuration(v.Type()) {
		return strict.FormatDuration(time.Duration(v.Int()))
	}
	if m, ok := v.Addr().Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			return strconv.Quote(err.Error())
		}
		if v.Type() == reflect.TypeFor[strict.Bytes]() {
			return string(text) // Needs no quotes, not even without a unit.
		}
		return quoted(string(text))
	}
	switch v.Kind() {
	case reflect.String:
		// What was read from a file, or from anywhere under a telling name, may be a secret.
		if written, _ := n.Written(); v.Len() > 0 && (strings.Contains(written, "${file:") || n.FromFile() || sensitive.MatchString(key)) {
			return quoted("[redacted]")
		}
		return quoted(v.String())
	case reflect.Struct:
		if s, ok := v.Addr().Interface().(fmt.Stringer); ok {
			return quoted(s.String())
		}
	}
	return fmt.Sprint(v.Interface())
}

// bare matches texts that need no quotes in YAML, whatever stands around them.
var bare = regexp.MustCompile(`^[A-Za-z0-9/_][A-Za-z0-9/_.-]*(:[A-Za-z0-9/_.-]+)*$`)

// quoted returns a text as a YAML scalar that is read as the same text, with ${ escaped.
func quoted(text string) string {
	text = strings.ReplaceAll(text, "${", "$${")
	if node, err := strict.ParseOne("", []byte(text)); err == nil && node.Kind() == strict.String && bare.MatchString(text) {
		return text
	}
	return strconv.Quote(text)
}
