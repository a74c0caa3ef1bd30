package variation

import (
	"fmt"
	"time"
)

type vendor uint8

const (
	falcon vendor = iota
	elastic
	sentinelone
	defender
	native
	vendors
)

type class uint8

const (
	server class = iota
	desktop
	laptop
)

// shipper is the shape in which a host's Windows events come.
type shipper uint8

const (
	noEvents shipper = iota
	winlogbeat
	evtx
	nxlog
	xml
)

// how a time of being down begins and ends.
type ending uint8

const (
	sleep    ending = iota // no word when it begins
	shutdown               // the log of a host that ships it says so
	crash                  // no word; the log tells when it is up again
	cut                    // the host is well, nothing reaches its cloud
	gone                   // uninstalled
)

type downtime struct {
	from, until time.Duration // since the start of the capture
	how         ending
}

// host is a computer with its agent.
type host struct {
	n       int
	name    string
	agentID string
	id      string
	vendor  vendor
	class   class
	linux   bool
	site    int
	remote  bool
	version string
	ships   shipper
	metrics bool
	beat    time.Duration
	typed   bool          // some record tells what kind of host it is
	wrong   time.Duration // by how much its clock is ahead
	downs   []downtime

	cpu, memory float64                                   // usual: percent of the host, MiB
	use         func(at time.Duration) (cpu, mem float64) // added to the usual; nil: nothing
	account     string                                    // under which the agent runs since accountAt; "": the usual one
	accountAt   time.Duration
	versions    []change // of the agent
	contents    []change // of its content
}

type change struct {
	at time.Duration
	to string
}

// at returns the value that holds at a time.
func at(changes []change, first string, t time.Duration) string {
	for _, c := range changes {
		if c.at <= t {
			first = c.to
		}
	}
	return first
}

// up reports whether the host is on and reaches its cloud, and what it last
// did where not.
func (h *host) up(t time.Duration) (bool, downtime) {
	for _, d := range h.downs {
		if t >= d.from && t < d.until {
			return false, d
		}
	}
	return true, downtime{}
}

// stop takes the host down for a time.
func (h *host) stop(from, length time.Duration, how ending) {
	h.downs = append(h.downs, downtime{from, from + length, how})
}

// enroll makes the hosts.
func (b *builder) enroll() {
	beats := [...]time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute}
	ofVendor := [vendors]time.Duration{falcon: 2 * time.Minute, elastic: beats[b.random.IntN(4)], sentinelone: 5 * time.Minute, defender: beats[4], native: beats[b.random.IntN(3)]}
	if b.random.IntN(3) == 0 {
		ofVendor[falcon] = beats[1+b.random.IntN(3)]
	}
	typed := b.random.Float64()
	for n := range b.options.Agents {
		h := &host{n: n, site: b.random.IntN(6), beat: 0, cpu: 0.3 + 2*b.random.Float64(), memory: 100 + 200*b.random.Float64()}
		switch r := b.random.Float64(); {
		case r < 0.45:
			h.class = server
		case r < 0.6:
			h.class = desktop
		default:
			h.class = laptop
		}
		switch r := b.random.Float64(); {
		case r < 0.5:
			h.vendor = falcon
		case r < 0.68:
			h.vendor = elastic
		case r < 0.8:
			h.vendor = sentinelone
		case r < 0.92:
			h.vendor = defender
		default:
			h.vendor = native
		}
		h.linux = h.vendor == native || h.class == server && h.vendor != defender && b.random.IntN(4) == 0
		h.remote = h.class == laptop && b.random.IntN(3) == 0
		h.beat = ofVendor[h.vendor]
		h.typed = b.random.Float64() < typed
		if !h.linux && b.random.IntN(3) == 0 {
			h.ships = winlogbeat + shipper(b.random.IntN(4))
		}
		h.metrics = b.random.IntN(6) == 0 && h.vendor != native // A home-made agent's process has no known name.
		h.name = fmt.Sprintf("%s%02d-%05d", [...]string{"SRV", "DSK", "NB"}[h.class], h.site, n)
		h.id = b.uuid()
		h.agentID = b.agentID(h.vendor)
		h.version = [vendors]string{"7.16.18613.0", "8.14.3", "23.4.4.223", "10.8735.22631.1011", "1.4.2"}[h.vendor]
		h.contents = []change{{-1, [vendors]string{"31", "1.0.901", "", "1.415.80.0", "290"}[h.vendor]}}
		h.wrong = b.skew(h)
		b.live(h)
		b.hosts = append(b.hosts, h)
	}
}

func (b *builder) uuid() string {
	x, y := b.random.Uint64(), b.random.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", uint32(x), uint16(x>>32), x>>52, y&0xfff, y>>16)
}

func (b *builder) agentID(v vendor) string {
	switch v {
	case falcon:
		return fmt.Sprintf("%016x%016x", b.random.Uint64(), b.random.Uint64())
	case sentinelone:
		return fmt.Sprintf("19%017d", b.random.Uint64N(1e17))
	case defender:
		return fmt.Sprintf("%016x%016x%08x", b.random.Uint64(), b.random.Uint64(), b.random.Uint32())
	}
	return b.uuid()
}

// live gives the host the days that hosts of its class have: laptops are used
// now and then, or by the hour of the day; others reboot once in a while.
func (b *builder) live(h *host) {
	switch {
	case h.class == server, h.class == desktop && h.n%2 == 0:
		for t := b.exp(20 * 24 * time.Hour); t < b.length; t += b.exp(20 * 24 * time.Hour) {
			h.stop(t, time.Minute+b.exp(time.Minute), shutdown)
		}
	default:
		how := shutdown
		if h.class == laptop {
			how = sleep
		}
		t := time.Duration(0)
		for on := b.working(0) && b.random.IntN(4) > 0; t < b.length; on = !on {
			if on {
				t += 10*time.Minute + b.exp(2*time.Hour)
				continue
			}
			off := 5*time.Minute + b.exp(90*time.Minute)
			if !b.working(t + off) {
				off = b.nextMorning(t) - t + b.exp(time.Hour)
			}
			h.stop(t, off, how)
			t += off
		}
	}
}

// working reports whether it is a weekday between seven and seven.
func (b *builder) working(t time.Duration) bool {
	at := b.start.Add(t)
	return at.Weekday() != time.Saturday && at.Weekday() != time.Sunday && at.Hour() >= 7 && at.Hour() < 19
}

func (b *builder) nextMorning(t time.Duration) time.Duration {
	at := b.start.Add(t)
	day := time.Date(at.Year(), at.Month(), at.Day(), 7, 0, 0, 0, time.UTC)
	for !day.After(at) || day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
		day = day.AddDate(0, 0, 1)
	}
	return day.Sub(b.start)
}

// exp draws a time of a memoryless process.
func (b *builder) exp(mean time.Duration) time.Duration {
	return time.Duration(b.random.ExpFloat64() * float64(mean))
}

// upTo draws a time below limit.
func (b *builder) upTo(limit time.Duration) time.Duration {
	return time.Duration(b.random.Int64N(int64(max(1, limit))))
}
