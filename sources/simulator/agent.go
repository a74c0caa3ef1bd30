package simulator

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"
)

type vendor uint8

const (
	crowdstrike vendor = iota
	defender
	sentinelone
)

type platform uint8

const (
	windows platform = iota
	mac
	linux
)

type class uint8

const (
	server class = iota
	desktop
	laptop
)

// siteCodes name the sites; a host's site is the first part of its name and
// the third number of its public address.
var siteCodes = [...]string{"fra", "nyc", "sin", "lon", "ams", "syd", "sfo", "tor", "muc", "par", "tyo", "dub", "mad", "sao", "bom", "waw"}

// domain of the hosts, of the names reserved for documentation (RFC 2606).
const domain = "corp.example"

// agent is one enrolled agent and its host.
type agent struct {
	index    int32
	vendor   vendor
	platform platform
	class    class
	site     uint8
	ring     uint8 // update ring: 0 first, 2 last
	model    uint8 // of the hardware, in models of its class
	sensor   uint8 // index of the sensor's version in the platform's list

	events   bool  // the host ships Windows events
	metrics  bool  // the host ships metrics of the agent's process
	remote   bool  // a laptop outside of its site: it reaches the Internet through the VPN
	nightly  bool  // a desktop that is switched off in the evening, where there are office hours
	reserved bool  // an incident owns the host: it does not sleep or reboot on its own
	blind    bool  // it beats and sees nothing
	drifted  bool  // its process runs under another account
	reduced  bool  // it says that its functionality is reduced
	gone     bool  // decommissioned
	crashes  uint8 // crashes or reboots of the host in an incident
	image    uint8 // how often the host was re-imaged; each time its agents get new ids
	twin     int32 // index of the agent of which this one is a clone; -1: none

	up       bool
	gen      uint16 // counts the transitions between up and not up
	downAt   int64  // the last time it went down, ms
	bootAt   int64  // ms
	agentAt  int64  // when the agent's process started, ms
	lastConn int64  // when the agent last connected to its cloud, ms
	failures int32  // failed connections since
	holdTill int64  // records of the host reach the broker not before, ms

	received uint8 // content pushes that it has received, a bit each
	reverted uint8 // content pushes that were reverted on it, a bit each
	waiting  uint8 // content pushes due when it connects again, a bit each

	sent     uint32 // records so far; makes their ids distinct
	recordID uint32 // Windows event record id
	pid      uint32
	cpu      float32 // usual CPU use of the agent, share of the host
	memory   uint32  // usual memory of the agent, MiB
	cores    uint8
	busy     float32 // CPU use during an incident, share of the host; 0: usual
	grown    uint32  // memory above the usual, MiB
	leak     uint16  // MiB a minute that the agent's process grows since its start
	leakMax  uint16  // up to this, MiB
}

// mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection
// that makes unrelated ids out of consecutive numbers.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// id returns 16 bytes that depend on the fleet's seed, the agent and salt.
func (f *Fleet) id(a *agent, salt uint64) (id [16]byte) {
	index := a.index
	if a.twin >= 0 && salt == saltAgent {
		index = a.twin
	}
	if salt >= saltAgent {
		salt |= uint64(a.image) << 40
	}
	x := mix(f.config.Seed ^ mix(uint64(index)<<32|salt))
	binary.BigEndian.PutUint64(id[:8], x)
	binary.BigEndian.PutUint64(id[8:], mix(x^salt))
	return id
}

const (
	saltAgent   = 1 << 31 // above every count of records
	saltBeat    = saltAgent + 1
	saltMachine = saltAgent + 2
)

// appendAgentID appends the vendor's id of the agent: 32 hexadecimal digits
// for CrowdStrike, 40 for Defender.
func (f *Fleet) appendAgentID(dst []byte, a *agent) []byte {
	id := f.id(a, saltAgent)
	dst = hex.AppendEncode(dst, id[:])
	if a.vendor == defender {
		dst = hex.AppendEncode(dst, id[4:8])
	}
	return dst
}

// appendUUID appends an id in the form of a random UUID (RFC 9562, version 4).
func appendUUID(dst []byte, id [16]byte) []byte {
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	dst = hex.AppendEncode(dst, id[:4])
	for _, part := range [...][2]int{{4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		dst = append(dst, '-')
		dst = hex.AppendEncode(dst, id[part[0]:part[1]])
	}
	return dst
}

// appendName appends the host's name without domain, such as fra-srv-00042.
func (a *agent) appendName(dst []byte) []byte {
	dst = append(dst, siteCodes[a.site]...)
	dst = append(dst, [...]string{"-srv-", "-pc-", "-lt-"}[a.class]...)
	for pad := int32(10000); pad > 1 && a.index < pad; pad /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(a.index), 10)
}

// appendPublicIP appends the address that the site shows to the Internet, of
// the range for benchmarks (RFC 2544): 198.18.<egress>.<host>.
func (a *agent) appendPublicIP(dst []byte) []byte {
	dst = append(dst, "198.18."...)
	dst = strconv.AppendInt(dst, int64(a.egress())+1, 10)
	dst = append(dst, '.')
	return strconv.AppendInt(dst, int64(a.index%250)+2, 10)
}

// egressVPN follows the sites in the list of ways to the Internet.
const egressVPN = len(siteCodes)

// egress is the way by which the host reaches the Internet: its site, or the VPN.
func (a *agent) egress() int {
	if a.remote {
		return egressVPN
	}
	return int(a.site)
}

// host names the agent's host, hit at a time in ms.
func (f *Fleet) host(a *agent, at int64) Host {
	h := Host{Name: string(a.appendName(nil)), At: time.UnixMilli(at).UTC()}
	if a.vendor != sentinelone {
		h.AgentID = string(f.appendAgentID(nil, a))
	}
	return h
}
