package identity

import (
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Kind is what a name names.
type Kind uint8

// The kinds of names, the strongest first.
const (
	// SensorID is the vendor's id of one agent. Together with the product it is
	// the only name that makes an entity of its own beside others on a host.
	SensorID Kind = iota
	// HostID is host.id: the machine id or GUID that the operating system has.
	HostID
	// DeviceID is device.id, where it is no sensor id.
	DeviceID
	// EntraID is the device id in Microsoft Entra ID (Azure AD).
	EntraID
	// Serial is the serial number of the hardware.
	Serial
	// FQDN is the host's name with its DNS domain.
	FQDN
	// Domain is the host's name with its NetBIOS domain, DOMAIN\name.
	Domain
	// Short is the host's name without a domain.
	Short
	// MAC is the hardware address of a network card.
	MAC
	// Unnamed is an agent of a product that no record gave an id: the text is its
	// host's strongest name.
	Unnamed

	kinds
)

// String returns the kind's name as outputs show it.
func (k Kind) String() string {
	if k >= kinds {
		return "invalid"
	}
	return [...]string{"sensor_id", "host_id", "device_id", "entra_id", "serial", "fqdn", "domain_name", "host_name", "mac", "unnamed"}[k]
}

// Name is a name in the form in which it is compared: lower case, without what
// does not matter.
type Name struct {
	Kind    Kind
	Product string // agent.type; of SensorID and Unnamed only
	Text    string
}

// maxText bounds a name; what is longer is none.
const maxText = 128

// isSaying reports whether a text is what hardware and software say where they
// have no name.
func isSaying(text string) bool {
	switch text {
	case "-", "none", "null", "nil", "n/a", "na", "unknown", "undefined", "empty", "(none)", "invalid", "not specified", "not available", "not applicable",
		"not settable", "unspecified", "default", "default string", "oem", "o.e.m.", "to be filled by o.e.m.", "to be filled by oem", "system serial number",
		"chassis serial number", "base board serial number", "serial number", "0123456789", "123456789", "1234567890", "12345678", "1234567", "123456",
		"03000200-0400-0500-0006-000700080009", // A UUID that many boards have.
		"localhost", "localhost.localdomain", "localhost4", "localhost6", "localdomain", "workgroup", "hostname", "tbd":
		return true
	}
	return false
}

// isPlaceholder reports whether a text in lower case stands for no name.
func isPlaceholder(text string) bool {
	if len(text) == 0 || len(text) > maxText || isSaying(text) {
		return true
	}
	// 00000000-0000-…, ffffffff, xxxx: one character again and again.
	var only byte
	for i := range len(text) {
		switch c := text[i]; c {
		case '-', ':', '.', ' ', '{', '}', '_':
		default:
			if only == 0 {
				only = c
			} else if c != only {
				return false
			}
		}
	}
	return len(text) >= 8 || only == 0 || text == "0" // Small numbers are ids of some vendors.
}

// isAddress reports whether a host's name is an IP address: addresses move from
// host to host and are no names.
func isAddress(host string) bool {
	dots, colons := 0, 0
	for i := range len(host) {
		switch c := host[i]; {
		case c == '.':
			dots++
		case c == ':':
			colons++
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'f', c == '%':
			if colons == 0 && strings.IndexByte(host, ':') < 0 {
				return false
			}
		default:
			return false
		}
	}
	return colons > 1 || dots == 3
}

// appendLower appends a text in lower case, without spaces around it.
func appendLower(dst []byte, text string) []byte {
	for len(text) > 0 && text[0] <= ' ' {
		text = text[1:]
	}
	for len(text) > 0 && text[len(text)-1] <= ' ' {
		text = text[:len(text)-1]
	}
	for i := range len(text) {
		c := text[i]
		if c-'A' < 26 {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// appendID appends an id or a serial number as it is compared: in lower case
// and without the braces of a GUID.
func appendID(dst []byte, text string) []byte {
	if len(text) > 2 && text[0] == '{' && text[len(text)-1] == '}' {
		text = text[1 : len(text)-1]
	}
	return appendLower(dst, text)
}

// appendMAC appends a hardware address as 12 hexadecimal digits, or nothing for
// what is none: groups, addresses that software made up, which change.
func appendMAC(dst []byte, text string) []byte {
	start := len(dst)
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f':
			dst = append(dst, c)
		case c >= 'A' && c <= 'F':
			dst = append(dst, c|0x20)
		case c == ':' || c == '-' || c == '.':
		default:
			return dst[:start]
		}
	}
	if len(dst)-start != 12 || strings.IndexByte("2367abef", dst[start+1]) >= 0 || strings.IndexByte("13579bdf", dst[start+1]) >= 0 {
		return dst[:start]
	}
	return dst
}

// hostName is a host's name taken apart. Each part is in lower case, and empty
// where there is none.
type hostName struct {
	short, fqdn, domain string
}

// cutHost takes apart what a record calls its host: name, name.example.com,
// name$, DOMAIN\name. The parts are views of what it appends to room.
func cutHost(room []byte, host string) (hostName, []byte) {
	at := len(room)
	room = appendLower(room, host)
	whole := event.View(room[at:])
	for len(whole) > 0 && (whole[len(whole)-1] == '.' || whole[len(whole)-1] == '$') {
		whole = whole[:len(whole)-1]
	}
	for len(whole) > 0 && whole[0] == '\\' {
		whole = whole[1:]
	}
	if len(whole) == 0 || len(whole) > maxText || isAddress(whole) {
		return hostName{}, room
	}
	h := hostName{short: whole}
	if i := strings.IndexByte(whole, '\\'); i > 0 {
		h.short = whole[i+1:]
		if !isSaying(whole[:i]) && h.short != whole[:i] { // HOST\HOST says that there is no domain.
			h.domain = whole
		}
	}
	if i := strings.IndexByte(h.short, '.'); i > 0 {
		// .local distinguishes no two hosts.
		if suffix := h.short[i+1:]; suffix != "local" && !isSaying(suffix) {
			h.fqdn = h.short
		}
		h.short = h.short[:i]
	}
	if isPlaceholder(h.short) || isAddress(h.short) {
		return hostName{}, room
	}
	return h, room
}

// ofProduct reports whether the name is one of an agent, which is of a product.
func (k Kind) ofProduct() bool { return k == SensorID || k == Unnamed }

// caseOf says how a name was written.
func caseOf(text string) marks {
	capitals := false
	for i := range len(text) {
		switch c := text[i]; {
		case c-'a' < 26:
			return otherCase
		case c-'A' < 26:
			capitals = true
		}
	}
	if capitals {
		return upperCase
	}
	return otherCase
}
