package mappings

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/edrwatch/edrwatch/mappings/internal/cef"
	"github.com/edrwatch/edrwatch/mappings/internal/eventxml"
	"github.com/edrwatch/edrwatch/mappings/internal/keyvalue"
	"github.com/edrwatch/edrwatch/mappings/internal/scan"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// unfolding opens a value that holds more than it shows: a text in a format of
// its own, or a list of named values. The record is written again with the
// object that it becomes, in the value's place or as a member called to, and
// read again.
type unfolding struct {
	sources    []source
	format     string // json, cef, key_value, xml, pairs, by_key, otlp_metrics or wazuh_windows
	to         string
	key, value string // of pairs: members that hold name and value
}

// unfoldFormats lists the formats that files name in as:.
func unfoldFormats() []string {
	return []string{"json", "cef", "key_value", "xml", "pairs", "by_key", "otlp_metrics", "wazuh_windows"}
}

// level is a tape with the text that it is about. The first is of the record
// as it came; each rewriting of it has one of its own.
type level struct {
	tape *scan.Tape
	text []byte
}

// Rewritings of one record: its text as the only member of an object, or one
// element of its lists; then what is unfolded.
const maxLevels = 3

// replacement is a piece of text instead of that from start to end.
type replacement struct {
	start, end int
	from, to   int // where the new text stands in Mapper.unfolded
}

// rewrite begins the text of the next level. It returns false when there is
// none, which no sequence of files leads to.
func (m *Mapper) rewrite() (*level, bool) {
	if m.depth+1 >= maxLevels {
		return nil, false
	}
	next := &m.levels[m.depth+1]
	next.text = next.text[:0]
	return next, true
}

// enter scans the text of the next level and goes on with it.
func (m *Mapper) enter(next *level) error {
	if err := next.tape.Scan(next.text); err != nil {
		return err
	}
	m.goOn(next)
	return nil
}

func (m *Mapper) goOn(next *level) {
	m.depth++
	m.tape = next.tape
}

// leave goes back to an outer level.
func (m *Mapper) leave(depth int) {
	m.depth = depth
	m.tape = m.levels[depth].tape
}

// unfold opens values of the object with index self and reports whether there
// was something to open: then the Mapper is one level deeper, at a record of
// its own, which is not noted yet. What cannot be read stays as it is; the
// error is the first.
func (m *Mapper) unfold(self int, list []unfolding) (bool, error) {
	next, ok := m.rewrite()
	if !ok {
		return false, nil
	}
	var firstErr error
	m.replaced, m.unfolded = m.replaced[:0], m.unfolded[:0]
	for i := range list {
		if err := m.unfoldOne(&list[i]); err != nil && firstErr == nil {
			firstErr = err
		}
	}
	if len(m.replaced) == 0 {
		return false, firstErr
	}
	slices.SortFunc(m.replaced, func(a, b replacement) int { return a.start - b.start })
	n := &m.tape.Nodes[self]
	at, end := int(n.Start), int(n.End)-1
	for _, r := range m.replaced {
		if r.start < at { // Within what is replaced already.
			continue
		}
		next.text = append(next.text, m.tape.Data[at:r.start]...)
		next.text = append(next.text, m.unfolded[r.from:r.to]...)
		at = r.end
	}
	next.text = append(append(next.text, m.tape.Data[at:end]...), '}')
	if from := m.replaced[0].start; self == 0 && n.Start == 0 && from == m.replaced[0].end && len(bytes.TrimSpace(m.tape.Data[from:end])) == 0 {
		if err := next.tape.ScanMembers(m.tape, next.text, from-int(n.Start)); err != nil {
			return false, err
		}
		m.goOn(next)
		return true, firstErr
	}
	if err := m.enter(next); err != nil {
		return false, err
	}
	return true, firstErr
}

// unfoldOne writes what the first of an unfolding's sources that has a value
// becomes.
func (m *Mapper) unfoldOne(u *unfolding) error {
	for i := range u.sources {
		index := m.at[u.sources[i].key]
		if index == 0 {
			continue
		}
		n := &m.tape.Nodes[index]
		start := len(m.unfolded)
		if u.to != "" {
			m.unfolded = append(event.AppendString(append(m.unfolded, ','), u.to), ':')
		}
		done, err := m.appendUnfolded(u, int(index), n)
		if !done || err != nil {
			m.unfolded = m.unfolded[:start]
			if err != nil {
				return err
			}
			continue
		}
		r := replacement{start: int(n.Start), end: int(n.End), from: start, to: len(m.unfolded)}
		if n.Kind == scan.String {
			r.start, r.end = r.start-1, r.end+1
		}
		if u.to != "" { // Behind the value's whole top-level member, which no other replacement begins in.
			r.start = m.endOfMember(index)
			r.end = r.start
		}
		m.replaced = append(m.replaced, r)
		return nil
	}
	return nil
}

// endOfMember returns where the member of the record ends that the value with
// the index is in.
func (m *Mapper) endOfMember(index uint32) int {
	nodes := m.tape.Nodes
	for i := m.self + 1; i < int(nodes[m.self].Next); i = int(nodes[i].Next) {
		if int(index) < int(nodes[i].Next) {
			if nodes[i].Kind == scan.String {
				return int(nodes[i].End) + 1
			}
			return int(nodes[i].End)
		}
	}
	return int(nodes[index].End)
}

// appendUnfolded appends to Mapper.unfolded; false when the value is not of
// the kind that the format reads.
func (m *Mapper) appendUnfolded(u *unfolding, index int, n *scan.Node) (bool, error) {
	if u.format == "pairs" {
		return n.Kind == scan.Array && m.appendPairs(u, index), nil
	}
	if u.format == "by_key" {
		return n.Kind == scan.Array && m.appendByKey(u.key, index), nil
	}
	if u.format == "otlp_metrics" {
		return n.Kind == scan.Array && m.appendMetrics(index), nil
	}
	if u.format == "wazuh_windows" {
		return n.Kind == scan.Object && m.appendWazuhWindows(index), nil
	}
	if n.Kind != scan.String {
		return false, nil
	}
	raw := m.tape.Raw(n)
	if n.Escaped {
		m.plain = scan.AppendUnescaped(m.plain[:0], raw)
		raw = m.plain
	}
	var err error
	switch u.format {
	case "cef":
		m.unfolded, err = m.cef.AppendJSON(m.unfolded, event.View(raw))
	case "xml":
		m.unfolded, err = m.xml.AppendJSON(m.unfolded, event.View(raw))
	case "key_value":
		m.unfolded, err = keyvalue.AppendJSON(m.unfolded, event.View(raw))
	default:
		if first := strings.TrimLeft(event.View(raw[:min(len(raw), 64)]), " \t\r\n"); first == "" || first[0] != '{' && first[0] != '[' {
			return false, nil
		}
		if err = m.check.Scan(raw); err == nil {
			m.unfolded = append(m.unfolded, raw...)
		}
	}
	return true, err
}

// appendPairs makes an object of a list of objects that hold a name and a
// value: [{"Key":"a","ValueString":"x"}] becomes {"a":"x"}. Of a value that is
// an object, such as {"stringValue":"x"} of OpenTelemetry, it takes the first
// member.
func (m *Mapper) appendPairs(u *unfolding, list int) bool {
	nodes := m.tape.Nodes
	m.unfolded = append(m.unfolded, '{')
	count := 0
	for i := list + 1; i < int(nodes[list].Next); i = int(nodes[i].Next) {
		key, value := 0, 0
		for k := i + 1; k < int(nodes[i].Next); k = int(nodes[k].Next) {
			switch string(m.tape.Key(&nodes[k])) {
			case u.key:
				key = k
			case u.value:
				value = k
			}
		}
		if nodes[i].Kind != scan.Object || key == 0 || value == 0 || nodes[key].Kind != scan.String {
			continue
		}
		if nodes[value].Kind == scan.Object && int(nodes[value].Next) > value+1 {
			value++
		}
		if count++; count > 1 {
			m.unfolded = append(m.unfolded, ',')
		}
		m.unfolded = append(append(m.unfolded, m.tape.Fragment(&nodes[key])...), ':')
		m.unfolded = append(m.unfolded, m.tape.Fragment(&nodes[value])...)
	}
	m.unfolded = append(m.unfolded, '}')
	return count > 0
}

// asMessage makes a record of a text that is not JSON: its only member is
// message. It reports whether the text can be one.
func (m *Mapper) asMessage(value []byte) bool {
	if len(value) == 0 || value[0] == '{' {
		return false // As nearly every record.
	}
	text := strings.TrimSpace(event.View(value))
	if text == "" || strings.HasPrefix(text, "\ufeff") || text[0] == '{' || text[0] == '[' || text[0] == '"' || len(text) > scan.DefaultLimits().Size/2 || !utf8.ValidString(text) {
		return false
	}
	next, ok := m.rewrite()
	if !ok {
		return false
	}
	next.text = append(event.AppendString(append(next.text, `{"message":`...), text), '}')
	escaped := len(next.text) > len(`{"message":""}`)+len(text)
	if next.tape.Text(next.text, len("message"), escaped) != nil {
		return false
	}
	m.goOn(next)
	return true
}

// unfolder holds what unfolding needs from one record to the next.
type unfolder struct {
	levels   [maxLevels]level
	depth    int // the level at hand
	self     int // the object of it that is noted
	check    *scan.Tape
	cef      cef.Parser
	xml      eventxml.Parser
	plain    []byte
	unfolded []byte
	replaced []replacement
	ways     []way
	states   []stateSum
}

func newUnfolder() unfolder {
	u := unfolder{check: scan.NewTape(scan.DefaultLimits())}
	for i := range u.levels {
		u.levels[i].tape = scan.NewTape(scan.DefaultLimits())
	}
	return u
}

// formatOf names the format that an error of unfolding is about.
func formatOf(err error) string {
	switch {
	case errors.As(err, new(*cef.Error)):
		return "CEF"
	case errors.As(err, new(*eventxml.Error)):
		return "XML of the Windows event log"
	case errors.As(err, new(*keyvalue.Error)):
		return "key=value pairs"
	}
	return "JSON"
}
