// Package eventxml reads events of the Windows event log as XML and writes
// them in the JSON form that EVTX converters give them, so that one mapping
// does for both: attributes under "#attributes", text beside them under
// "#text", named Data by name, Data without names by position.
//
// The schema is that of Microsoft's "Event Schema" (win32/wes/eventschema).
package eventxml

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Error says where a text is not an event in XML.
type Error struct {
	Offset   int
	Expected string
	Found    string
}

func (e *Error) Error() string {
	return "offset " + strconv.Itoa(e.Offset) + ": expected " + e.Expected + ", found " + e.Found
}

// Limits on what a hostile text can cost.
const (
	maxDepth    = 16
	maxElements = 2048
)

// Parser holds what is needed from one text to the next. It belongs to one
// goroutine.
type Parser struct {
	text     string
	at       int
	elements int
	names    []string // of the members of all objects that are open
	plain    []byte   // text with its entities replaced
	dst      []byte
}

// AppendJSON appends what stands inside of <Event> as a JSON object. A text
// that begins with <EventData>, <DataItem> or <Param>, as tables of Azure
// Monitor hold it, becomes an object with EventData alone. Events of ePolicy
// Orchestrator, <EPOEvent> and <UpdateEvents>, become an object with a member
// of that name. A syslog header before the event is passed over. An *Error
// leaves dst as it was. There is no DTD, so that no entity can refer to
// anything.
func (p *Parser) AppendJSON(dst []byte, text string) ([]byte, error) {
	text = withoutHeader(text)
	p.text, p.at, p.elements, p.names, p.dst = text, 0, 0, p.names[:0], dst
	if err := p.document(); err != nil {
		return dst, err
	}
	out := p.dst
	p.text, p.dst = "", nil
	return out, nil
}

// withoutHeader returns what begins with the event of a text that has a syslog
// header before it, such as those of Sysmon for Linux and of ePolicy
// Orchestrator; any other text as it is.
func withoutHeader(text string) string {
	if start := strings.TrimLeft(text, " \t\r\n\ufeff"); start == "" || start[0] == '<' && (len(start) < 2 || start[1]-'0' >= 10) {
		return text // The priority of a syslog header is <134>.
	}
	for _, root := range [...]string{"<?xml", "<EPOEvent", "<EPOevent", "<UpdateEvents", "<Event>", "<Event "} {
		if i := strings.Index(text, root); i >= 0 {
			return text[i:]
		}
	}
	return text
}

func (p *Parser) document() error {
	for {
		if err := p.skipMisc(); err != nil {
			return err
		}
		begin := p.at
		name, err := p.open()
		if err != nil {
			return err
		}
		switch name {
		case "DataItem": // Azure Monitor's wrapping.
			if _, err := p.attributes(false); err != nil {
				return err
			}
			continue
		case "Event":
			if err := p.element(name, 0); err != nil {
				return err
			}
			if p.dst[len(p.dst)-1] != '}' {
				return p.fail(begin, "an event with elements")
			}
			return nil
		case "EventData", "UserData":
			p.dst = append(append(append(p.dst, `{"`...), name...), `":`...)
			if err := p.element(name, 0); err != nil {
				return err
			}
			p.dst = append(p.dst, '}')
			return nil
		case "EPOEvent", "EPOevent", "UpdateEvents":
			if name == "EPOevent" {
				name = "EPOEvent"
			}
			p.dst = append(append(append(p.dst, `{"`...), name...), `":`...)
			if err := p.element(p.text[begin+1:p.at], 0); err != nil {
				return err
			}
			p.dst = append(p.dst, '}')
			return nil
		case "Param":
			p.at = begin
			p.dst = append(p.dst, `{"EventData":{"Data":{"#text":[`...)
			if err := p.positional("Param", 0); err != nil {
				return err
			}
			p.dst = append(p.dst, `]}}}`...)
			return nil
		}
		return p.fail(begin, "<Event>")
	}
}

func (p *Parser) fail(at int, expected string) error {
	found := "the end of the text"
	if at < len(p.text) {
		found = strconv.Quote(p.text[at:min(len(p.text), at+12)])
	}
	return &Error{at, expected, found}
}

// skipMisc skips white space, comments and processing instructions.
func (p *Parser) skipMisc() error {
	for {
		for p.at < len(p.text) && isSpace(p.text[p.at]) {
			p.at++
		}
		rest := p.text[p.at:]
		end := ""
		switch {
		case strings.HasPrefix(rest, "<?"):
			end = "?>"
		case strings.HasPrefix(rest, "<!--"):
			end = "-->"
		case strings.HasPrefix(rest, "\ufeff"):
			p.at += len("\ufeff")
			continue
		default:
			return nil
		}
		i := strings.Index(rest, end)
		if i < 0 {
			return p.fail(len(p.text), end)
		}
		p.at += i + len(end)
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func isNameByte(c byte) bool {
	return c|0x20-'a' < 26 || c-'0' < 10 || c == '_' || c == '-' || c == '.' || c == ':' || c >= utf8.RuneSelf
}

// open reads "<" and the name of an element, without the prefix of a namespace.
func (p *Parser) open() (string, error) {
	if p.at >= len(p.text) || p.text[p.at] != '<' {
		return "", p.fail(p.at, "an element")
	}
	p.at++
	return p.name()
}

func (p *Parser) name() (string, error) {
	begin := p.at
	for p.at < len(p.text) && isNameByte(p.text[p.at]) {
		p.at++
	}
	if begin == p.at {
		return "", p.fail(begin, "a name")
	}
	name := p.text[begin:p.at]
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.HasPrefix(name, "xmlns") {
		name = name[i+1:]
	}
	return name, nil
}

// attributes reads up to the end of a tag, writes the attributes as members
// where asked for, and reports whether the element is empty ("/>").
func (p *Parser) attributes(write bool) (empty bool, err error) {
	for count := 0; ; {
		for p.at < len(p.text) && isSpace(p.text[p.at]) {
			p.at++
		}
		switch {
		case p.at >= len(p.text):
			return false, p.fail(p.at, "an attribute or >")
		case p.text[p.at] == '>':
			p.at++
			return false, p.endAttributes(write, count)
		case strings.HasPrefix(p.text[p.at:], "/>"):
			p.at += 2
			return true, p.endAttributes(write, count)
		}
		name, value, err := p.attribute()
		if err != nil {
			return false, err
		}
		if !write || strings.HasPrefix(name, "xmlns") {
			continue
		}
		if count++; count == 1 {
			p.dst = append(p.dst, `"#attributes":{`...)
		} else {
			p.dst = append(p.dst, ',')
		}
		p.dst = append(event.AppendString(p.dst, name), ':')
		p.string(value)
	}
}

func (p *Parser) endAttributes(write bool, count int) error {
	if write && count > 0 {
		p.dst = append(p.dst, '}')
	}
	return nil
}

// attribute reads name="value"; entities in the value stay as they are.
func (p *Parser) attribute() (name, value string, err error) {
	if name, err = p.name(); err != nil {
		return "", "", err
	}
	if p.at+1 >= len(p.text) || p.text[p.at] != '=' || p.text[p.at+1] != '"' && p.text[p.at+1] != '\'' {
		return "", "", p.fail(p.at, "= and a quoted value")
	}
	quote := p.text[p.at+1]
	p.at += 2
	end := strings.IndexByte(p.text[p.at:], quote)
	if end < 0 {
		return "", "", p.fail(len(p.text), "the end of the value")
	}
	value = p.text[p.at : p.at+end]
	p.at += end + 1
	return name, value, nil
}

// element writes the value of the element whose name was read.
func (p *Parser) element(name string, depth int) error {
	if p.elements++; depth > maxDepth || p.elements > maxElements {
		return p.fail(p.at, "at most "+strconv.Itoa(maxDepth)+" levels and "+strconv.Itoa(maxElements)+" elements")
	}
	begin, base := len(p.dst), len(p.names)
	defer func() { p.names = p.names[:base] }()
	p.dst = append(p.dst, '{')
	empty, err := p.attributes(true)
	if err != nil {
		return err
	}
	bare := len(p.dst) == begin+1
	if empty {
		p.closeEmpty(begin, bare)
		return nil
	}
	return p.content(name, depth, begin, base)
}

func (p *Parser) closeEmpty(begin int, bare bool) {
	if bare {
		p.dst = append(p.dst[:begin], "null"...)
		return
	}
	p.dst = append(p.dst, '}')
}

// content writes what stands between the tags of an element: members for the
// elements in it, and its text.
func (p *Parser) content(name string, depth, begin, base int) error {
	bare := len(p.dst) == begin+1
	members := false
	textBegin := p.at
	for {
		if i := strings.IndexByte(p.text[p.at:], '<'); i >= 0 {
			p.at += i
		} else {
			return p.fail(len(p.text), "</"+name+">")
		}
		rest := p.text[p.at:]
		switch {
		case strings.HasPrefix(rest, "<!--"):
			if err := p.skipMisc(); err != nil {
				return err
			}
			continue
		case strings.HasPrefix(rest, "<![CDATA["):
			end := strings.Index(rest, "]]>")
			if end < 0 {
				return p.fail(len(p.text), "]]>")
			}
			p.at += end + len("]]>")
			continue
		case strings.HasPrefix(rest, "</"):
			textEnd := p.at
			p.at += 2
			closing, err := p.name()
			if err != nil {
				return err
			}
			for p.at < len(p.text) && isSpace(p.text[p.at]) {
				p.at++
			}
			if closing != name || p.at >= len(p.text) || p.text[p.at] != '>' {
				return p.fail(p.at, "</"+name+">")
			}
			p.at++
			p.finish(begin, bare, members, p.text[textBegin:textEnd])
			return nil
		}
		if !bare || members {
			p.dst = append(p.dst, ',')
		}
		members = true
		if err := p.member(depth, base); err != nil {
			return err
		}
		textBegin = p.at
	}
}

// finish closes an element. Text between elements is nothing but white space
// in this schema and is left away.
func (p *Parser) finish(begin int, bare, members bool, text string) {
	switch {
	case members:
		p.dst = append(p.dst, '}')
	case strings.TrimSpace(text) == "":
		p.closeEmpty(begin, bare)
	case bare:
		p.dst = p.dst[:begin]
		p.string(text)
	default:
		p.dst = append(p.dst, `,"#text":`...)
		p.string(text)
		p.dst = append(p.dst, '}')
	}
}

// member writes one element as a member of the object around it.
func (p *Parser) member(depth, base int) error {
	begin := p.at
	name, err := p.open()
	if err != nil {
		return err
	}
	if name == "Data" || name == "ComplexData" {
		named, ok := p.nameAttribute()
		if !ok {
			p.at = begin
			p.key("Data", base)
			p.dst = append(p.dst, `{"#text":[`...)
			err := p.positional(name, depth+1)
			p.dst = append(p.dst, `]}`...)
			return err
		}
		p.key(named, base)
		if empty, err := p.attributes(false); err != nil {
			return err
		} else if empty {
			p.dst = append(p.dst, "null"...)
			return nil
		}
		p.dst = append(p.dst, '{')
		if p.elements++; p.elements > maxElements {
			return p.fail(p.at, "at most "+strconv.Itoa(maxElements)+" elements")
		}
		inner := len(p.names)
		err := p.content(name, depth+1, len(p.dst)-1, inner)
		p.names = p.names[:inner]
		return err
	}
	p.key(name, base)
	return p.element(name, depth+1)
}

// nameAttribute looks for Name="..." in the tag at hand, without moving on.
func (p *Parser) nameAttribute() (string, bool) {
	at := p.at
	defer func() { p.at = at }()
	for {
		for p.at < len(p.text) && isSpace(p.text[p.at]) {
			p.at++
		}
		name, value, err := p.attribute()
		if err != nil {
			return "", false
		}
		if name == "Name" && value != "" {
			return value, true
		}
	}
}

// positional writes a run of elements of one name, which have no names of
// their own, as the elements of a list.
func (p *Parser) positional(name string, depth int) error {
	for count := 0; ; count++ {
		begin := p.at
		for p.at < len(p.text) && isSpace(p.text[p.at]) {
			p.at++
		}
		if p.at >= len(p.text) || strings.HasPrefix(p.text[p.at:], "</") {
			p.at = begin
			return nil
		}
		next, err := p.open()
		if err != nil {
			return err
		}
		if _, named := p.nameAttribute(); next != name || named {
			p.at = begin
			return nil
		}
		if count > 0 {
			p.dst = append(p.dst, ',')
		}
		if err := p.element(name, depth); err != nil {
			return err
		}
		if p.dst[len(p.dst)-1] == 'l' { // Position counts: an empty value is one.
			p.dst = append(p.dst[:len(p.dst)-len("null")], `""`...)
		}
	}
}

// key writes the name of a member; a name that is taken already gets a
// number, so that nothing is lost.
func (p *Parser) key(name string, base int) {
	count := 1
	for _, other := range p.names[base:] {
		if other == name {
			count++
		}
	}
	p.names = append(p.names, name)
	if strings.IndexByte(name, '&') >= 0 {
		p.plain = appendPlain(p.plain[:0], name)
		name = string(p.plain)
	}
	if count > 1 {
		name += "_" + strconv.Itoa(count)
	}
	p.dst = append(event.AppendString(p.dst, name), ':')
}

// string writes a text with its entities replaced.
func (p *Parser) string(text string) {
	if strings.IndexByte(text, '&') < 0 && strings.IndexByte(text, '<') < 0 {
		p.dst = event.AppendString(p.dst, text)
		return
	}
	p.plain = appendPlain(p.plain[:0], text)
	p.dst = event.AppendString(p.dst, event.View(p.plain))
}

// appendPlain replaces the five entities of XML and character references, and
// takes CDATA sections as they are; comments go.
func appendPlain(dst []byte, text string) []byte {
	for i := 0; i < len(text); {
		rest := text[i:]
		switch {
		case strings.HasPrefix(rest, "<![CDATA["):
			end := strings.Index(rest, "]]>")
			if end < 0 {
				return append(dst, rest...)
			}
			dst = append(dst, rest[len("<![CDATA["):end]...)
			i += end + len("]]>")
		case strings.HasPrefix(rest, "<!--"):
			end := strings.Index(rest, "-->")
			if end < 0 {
				return dst
			}
			i += end + len("-->")
		case rest[0] == '&':
			r, size := entity(rest)
			if size == 0 {
				dst = append(dst, '&')
				i++
				continue
			}
			dst = utf8.AppendRune(dst, r)
			i += size
		default:
			dst = append(dst, rest[0])
			i++
		}
	}
	return dst
}

// entity returns the character that a reference stands for and its length, 0
// for what is none.
func entity(s string) (rune, int) {
	end := strings.IndexByte(s[:min(len(s), 12)], ';')
	if end < 2 {
		return 0, 0
	}
	switch name := s[1:end]; {
	case name == "lt":
		return '<', end + 1
	case name == "gt":
		return '>', end + 1
	case name == "amp":
		return '&', end + 1
	case name == "quot":
		return '"', end + 1
	case name == "apos":
		return '\'', end + 1
	case name[0] == '#' && len(name) > 1:
		base := 10
		if name = name[1:]; name[0]|0x20 == 'x' {
			base, name = 16, name[1:]
		}
		if n, err := strconv.ParseUint(name, base, 32); err == nil && n <= utf8.MaxRune {
			return rune(n), end + 1
		}
	}
	return 0, 0
}
