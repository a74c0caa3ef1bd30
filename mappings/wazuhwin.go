package mappings

import (
	"github.com/edrwatch/edrwatch/mappings/internal/scan"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// appendWazuhWindows makes the event of Windows out of what Wazuh's agent makes
// of one (the object win with system and eventdata or userData), in the form
// of EVTX as JSON, which windows/ maps: names begin with a capital again, which
// Wazuh takes away. What Wazuh says itself, its rule and agent, stands beside
// it as wazuh.
func (m *Mapper) appendWazuhWindows(win int) bool {
	system := m.member(win, "system")
	if system == 0 || m.tape.Nodes[system].Kind != scan.Object {
		return false
	}
	out := append(m.unfolded, `{"Event":{"System":{`...)
	out = m.appendSystem(out, system)
	out = append(out, '}')
	if data := m.member(win, "eventdata"); data != 0 && m.tape.Nodes[data].Kind == scan.Object {
		out = m.appendCapitals(append(out, `,"EventData":`...), data)
	}
	if data := m.member(win, "userData"); data != 0 {
		out = append(append(out, `,"UserData":`...), m.tape.Fragment(&m.tape.Nodes[data])...)
	} else if data := m.member(win, "logFileCleared"); data != 0 && m.tape.Nodes[data].Kind == scan.Object {
		out = append(m.appendCapitals(append(out, `,"UserData":{"LogFileCleared":`...), data), '}')
	}
	if message := m.member(system, "message"); message != 0 {
		out = append(append(append(out, `,"RenderingInfo":{"Message":`...), m.tape.Fragment(&m.tape.Nodes[message])...), '}')
	}
	out = append(out, `},"wazuh":{`...)
	first := true
	for _, name := range [...]string{"id", "rule", "agent", "manager"} {
		if own := m.member(m.self, name); own != 0 {
			out = appendMember(out, name, m.tape.Fragment(&m.tape.Nodes[own]), &first)
		}
	}
	m.unfolded = append(out, '}', '}')
	return true
}

// appendSystem writes the members of an event's System by their names in EVTX.
func (m *Mapper) appendSystem(out []byte, system int) []byte {
	first := true
	for _, field := range [...]struct{ name, evtx, attribute string }{
		{"providerName", "Provider", "Name"}, {"eventID", "EventID", ""}, {"level", "Level", ""}, {"systemTime", "TimeCreated", "SystemTime"},
		{"eventRecordID", "EventRecordID", ""}, {"channel", "Channel", ""}, {"computer", "Computer", ""}, {"keywords", "Keywords", ""}, {"task", "Task", ""}, {"opcode", "Opcode", ""}, {"version", "Version", ""},
	} {
		value := m.member(system, field.name)
		if value == 0 {
			continue
		}
		fragment := m.tape.Fragment(&m.tape.Nodes[value])
		if field.attribute == "" {
			out = appendMember(out, field.evtx, fragment, &first)
			continue
		}
		out = appendMember(out, field.evtx, nil, &first)
		out = append(append(append(out, `{"#attributes":{"`...), field.attribute...), `":`...)
		out = append(append(out, fragment...), "}}"...)
	}
	return out
}

// appendCapitals writes an object with names that begin with a capital, except
// param1 and its like, which do not in Windows either.
func (m *Mapper) appendCapitals(out []byte, object int) []byte {
	nodes := m.tape.Nodes
	first := true
	out = append(out, '{')
	for i := object + 1; i < int(nodes[object].Next); i = int(nodes[i].Next) {
		key := m.tape.Key(&nodes[i])
		at := len(out) + len(`"`)
		if !first {
			at++
		}
		out = appendMember(out, event.View(key), nil, &first)
		out = appendOnceEscaped(out, m.tape.Fragment(&nodes[i]))
		if param := len(key) > 5 && string(key[:5]) == "param" && key[5]-'0' < 10; !param && len(key) > 0 && key[0]-'a' < 26 {
			out[at] -= 'a' - 'A'
		}
	}
	return append(out, '}')
}

// appendOnceEscaped writes the text of a JSON value. Wazuh escapes backslashes
// and quotation marks of texts once more than JSON wants (C:\\\\Windows for
// C:\\Windows); where all of a text are so, one half is left away.
func appendOnceEscaped(out, fragment []byte) []byte {
	if !twiceEscaped(fragment) {
		return append(out, fragment...)
	}
	for i := 0; i < len(fragment); {
		run := backslashes(fragment[i:])
		if run == 0 {
			out = append(out, fragment[i])
			i++
			continue
		}
		i += run
		keep := run / 4 * 2
		if run%2 == 1 { // The last escapes what follows.
			keep++
		}
		for range keep {
			out = append(out, '\\')
		}
	}
	return out
}

// twiceEscaped reports whether a JSON text has backslashes, and all of them
// are doubled.
func twiceEscaped(fragment []byte) bool {
	found := false
	for i := 0; i < len(fragment); i++ {
		run := backslashes(fragment[i:])
		if run == 0 {
			continue
		}
		i += run
		quote := run%2 == 1 && fragment[i] == '"'
		if !quote && run%4 > 1 || quote && run%4 == 1 {
			return false
		}
		found = found || run > 2
	}
	return found
}

func backslashes(s []byte) int {
	n := 0
	for n < len(s) && s[n] == '\\' {
		n++
	}
	return n
}

// appendMember writes a member of an object whose name is written as it is.
func appendMember(out []byte, name string, value []byte, first *bool) []byte {
	if !*first {
		out = append(out, ',')
	}
	*first = false
	out = append(append(append(out, '"'), name...), '"', ':')
	return append(out, value...)
}
