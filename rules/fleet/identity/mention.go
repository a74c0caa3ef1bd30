package identity

import (
	"encoding/binary"
	"unsafe"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// mention is what one record calls its agent and its host.
type mention struct {
	product string
	sensor  term
	host    [kinds]term // By kind; those of SensorID and Unnamed are never set.
	derived bool        // FQDN or Domain is put together, the host's name is without it
	at      uint32      // when, seconds since 1970
	own     bool        // the agent itself speaks
}

// term is one name, in the form in which it is compared.
type term struct {
	text  string
	node  uint32 // 0: not known
	marks marks
}

// oldest is how far back a record's time is believed, in seconds: what lists
// agents can be older than what they say themselves.
const (
	oldestOwn = 7 * 86400
	oldest    = 400 * 86400
)

// parse reads the names of an event, on the clock in nanoseconds since 1970. The
// texts are views of the event and of its scratch room.
func (v *mention) parse(e *event.Event, now int64) {
	*v = mention{product: e.Str(ecs.AgentType), own: isOwn(e)}
	v.at = clamp(e.Timestamp(), now, v.own)
	agent := e.Str(ecs.AgentID)
	if agent != "" {
		v.sensor = identifier(e, agent)
	}
	if id := e.Str(ecs.HostID); id != "" && id != agent {
		if t := identifier(e, id); t.text != v.sensor.text {
			v.host[HostID] = t
		}
	}
	if id := e.Str(ecs.DeviceID); id != "" && id != agent {
		if t := identifier(e, id); t.text != v.sensor.text && t.text != v.host[HostID].text {
			v.host[DeviceID] = t
		}
	}
	if id := e.Str(ecs.EDRHostAadID); id != "" {
		v.host[EntraID] = identifier(e, id)
	}
	if id := e.Str(ecs.DeviceSerialNumber); len(id) > 3 {
		v.host[Serial] = identifier(e, id)
	}
	if mac := e.Get(ecs.HostMAC); mac != nil {
		v.parseMAC(e, mac)
	}
	name := e.Str(ecs.HostName)
	if name == "" {
		name = e.Str(ecs.HostHostname)
	}
	if name != "" {
		v.parseHost(e, name)
	}
}

// clamp returns a record's time in seconds, not after the clock and not long
// before it: a broken clock must not make a name look older than it is.
func clamp(at, now int64, own bool) uint32 {
	age := int64(oldest)
	if own {
		age = oldestOwn
	}
	if at == 0 || at > now {
		at = now
	}
	at, now = at/1e9, now/1e9
	return uint32(max(at, now-age, 1))
}

func identifier(e *event.Event, id string) term {
	if len(id) > maxText {
		return term{}
	}
	t := term{text: id, marks: otherCase}
	if !isPlain(id) { // Nearly all are.
		t = term{text: event.View(appendID(e.Scratch(len(id)), id)), marks: caseOf(id)}
	}
	if isPlaceholder(t.text) {
		return term{}
	}
	return t
}

// isPlain reports whether an id is as it is compared: nothing is a capital or a
// control character, which are those without the bit 0x20, and neither spaces nor
// braces stand around it. What it takes for one that is not is only looked at twice.
func isPlain(id string) bool {
	if first, last := id[0], id[len(id)-1]; first == ' ' || first == '{' || last == ' ' || last == '}' {
		return false
	}
	const lower = 0x2020202020202020
	all, i := uint64(lower), 0
	bytes := unsafe.Slice(unsafe.StringData(id), len(id))
	for ; i+8 <= len(id); i += 8 {
		all &= binary.LittleEndian.Uint64(bytes[i:])
	}
	for ; i < len(id); i++ {
		all &= uint64(id[i]) | lower&^0xff
	}
	return all&lower == lower
}

func (v *mention) parseMAC(e *event.Event, mac *event.Value) {
	list := mac.List()
	for i := range max(len(list), 1) {
		text := mac.Str()
		if list != nil {
			text = list[i]
		}
		if len(text) > 32 {
			continue
		}
		if b := appendMAC(e.Scratch(len(text)), text); len(b) > 0 && !isPlaceholder(event.View(b)) {
			v.host[MAC] = term{text: event.View(b), marks: otherCase}
			return
		}
	}
}

func (v *mention) parseHost(e *event.Event, name string) {
	if len(name) > maxText {
		return
	}
	h, _ := cutHost(e.Scratch(len(name)), name)
	if h.short == "" {
		return
	}
	spelled := caseOf(name)
	v.host[Short] = term{text: h.short, marks: spelled}
	if h.fqdn != "" {
		v.host[FQDN] = term{text: h.fqdn, marks: spelled}
	}
	if h.domain != "" {
		v.host[Domain] = term{text: h.domain, marks: spelled}
	}
	domain := e.Str(ecs.HostDomain)
	if h.fqdn != "" || domain == "" || len(domain)+len(h.short)+1 > maxText {
		return
	}
	v.derived = true
	b := appendLower(e.Scratch(len(domain)+len(h.short)+1), domain)
	switch text := event.View(b); {
	case isPlaceholder(text) || text == h.short:
	case hasDot(text):
		b = append(append(b[:0], h.short...), '.')
		b = appendLower(b, domain)
		v.host[FQDN] = term{text: event.View(b), marks: otherCase}
	case h.domain == "":
		b = append(append(b, '\\'), h.short...)
		v.host[Domain] = term{text: event.View(b), marks: otherCase}
	}
}

func hasDot(text string) bool {
	for i := range len(text) {
		if text[i] == '.' {
			return i > 0 && i < len(text)-1
		}
	}
	return false
}

// bestName returns the kind of the strongest name of the host that is given.
func (v *mention) bestName() (Kind, bool) {
	for _, kind := range [...]Kind{FQDN, Short} {
		if v.host[kind].text != "" {
			return kind, true
		}
	}
	return 0, false
}

// isOwn reports whether the agent itself is heard. What inventories, consoles and
// logs of the host say of it shows no life; where no mapping says whose voice it
// is, the action does.
func isOwn(e *event.Event) bool {
	switch e.Voice() {
	case event.VoiceAgent:
		return true
	case event.VoiceServer:
		return false
	}
	switch e.Str(ecs.EventAction) {
	case "sensor-heartbeat", "sensor-started", "sensor-connected", "sensor-updated", "sensor-installed",
		"content-updated", "content-update-failed", "policy-applied", "policy-failed", "mode-changed", "resource-usage", "telemetry-dropped", "scan-started", "scan-finished":
		return true
	}
	return false
}
