package fleet

import (
	"encoding/binary"
	"fmt"
	"math"
)

// ParseStep reads the bytes of a step that AppendStep made. It takes no more
// memory than a small multiple of their length and 16 MiB of texts; the error
// says at which byte what was expected.
func ParseStep(b []byte) (*Step, error) {
	r := stepReader{b: b, size: len(b)}
	format := r.byte("the format")
	if r.err == nil && format != stepFormat && format != stepFormat-1 {
		return nil, fmt.Errorf("fleet step: format %d, expected %d: gateways of a fleet have to run the same release", format, stepFormat)
	}
	s := newStep(int64(r.uint("the end of the step", math.MaxInt64)))
	r.tables()
	r.sums(s)
	r.hosts(s)
	if format == stepFormat {
		r.matches(s)
	}
	if r.err == nil && len(r.b) > 0 {
		r.fail("the end")
	}
	if r.err != nil {
		return nil, r.err
	}
	return s, nil
}

// stepReader reads; after the first error it returns zeros.
type stepReader struct {
	b      []byte // the rest
	size   int
	texts  []string
	strata []Stratum
	err    error
}

func (r *stepReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("fleet step: expected %s at byte %d of %d", what, r.size-len(r.b), r.size)
	}
	r.b = nil
}

func (r *stepReader) byte(what string) byte {
	if len(r.b) == 0 {
		r.fail(what)
		return 0
	}
	b := r.b[0]
	r.b = r.b[1:]
	return b
}

func (r *stepReader) uint(what string, most uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > most {
		r.fail(what)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *stepReader) count(what string) int { return int(r.uint(what, maxCount)) }

// entries reads how many entries follow, of at least so many bytes each.
func (r *stepReader) entries(what string, bytes int) int {
	return int(r.uint("the number of "+what, uint64(len(r.b)/bytes)))
}

func (r *stepReader) text(what string) string {
	place := int(r.uint(what, maxCount))
	if place >= len(r.texts) {
		r.fail(what)
		return ""
	}
	return r.texts[place]
}

func (r *stepReader) stratum() Stratum {
	place := int(r.uint("a stratum", maxCount))
	if place >= len(r.strata) {
		r.fail("a stratum")
		return Stratum{}
	}
	return r.strata[place]
}

func (r *stepReader) tables() {
	n, total := r.entries("texts", 2), 0
	r.texts = make([]string, 0, n)
	before := ""
	for range n {
		shared := int(r.uint("the shared length of a text", uint64(len(before))))
		rest := int(r.uint("the length of a text", uint64(min(len(r.b), maxStepText-shared))))
		if total += shared + rest; rest > len(r.b) || total > maxStepTexts {
			r.fail("a text")
			return
		}
		before = before[:shared] + string(r.b[:rest])
		r.b = r.b[rest:]
		r.texts = append(r.texts, before)
	}
	n = r.entries("strata", 4)
	r.strata = make([]Stratum, 0, n)
	for range n {
		r.strata = append(r.strata, Stratum{Product: r.text("a product"), OS: r.text("an OS"), HostType: r.text("a host type"), Ring: r.text("a ring")})
	}
}

// fresh makes the entry of a key, which must not be there twice.
func fresh[K comparable, V any](r *stepReader, m map[K]*V, key K, what string) *V {
	if _, ok := m[key]; ok && r.err == nil {
		r.fail(what + " only once")
	}
	return of(m, key)
}

func (r *stepReader) sums(s *Step) {
	for range r.entries("sums of strata", 8) {
		v := fresh(r, s.Strata, r.stratum(), "a stratum")
		v.Alive, v.Silent, v.Returned = r.count("alive"), r.count("silent"), r.count("returned")
		v.NewlySilent, v.Fell = r.count("newly silent"), r.count("fell")
		r.failures(&v.Failures)
		v.Casualties = r.casualties()
	}
	for range r.entries("sites", 6) {
		v := fresh(r, s.Sites, r.text("a site"), "a site")
		v.Alive, v.Silent, v.NewlySilent, v.Returned = r.count("alive"), r.count("silent"), r.count("newly silent"), r.count("returned")
		for range r.bounded("hosts", 1) {
			v.Hosts = append(v.Hosts, r.text("a host"))
		}
	}
	for range r.entries("feeds", 9) {
		v := fresh(r, s.Feeds, r.text("a feed"), "a feed")
		v.Records, v.Beats, v.Late, v.Alive = r.count("records"), r.count("beats"), r.count("late records"), r.count("alive")
		v.Due, v.Least = int64(r.uint("the beats that are due", maxDue)), int64(r.uint("a delay", math.MaxInt64))
		v.First, v.Last = r.time("the first record"), r.time("the last record")
	}
	for range r.entries("versions", 8) {
		r.version(s)
	}
	for range r.entries("models", 4) {
		v := fresh(r, s.Models, ModelKey{r.text("a product"), r.text("a model")}, "a model")
		v.Alive = r.count("alive")
		r.failures(&v.Failures)
	}
}

func (r *stepReader) version(s *Step) {
	key := Version{Product: r.text("a product"), Kind: r.text("a kind"), Channel: r.text("a channel"), Version: r.text("a version")}
	v := fresh(r, s.Versions, key, "a version")
	v.init()
	v.Exposed = r.count("exposed")
	for range r.entries("arms", 5) {
		arm := fresh(r, v.Strata, r.stratum(), "an arm of a stratum")
		arm.Alive = r.count("alive")
		arm.Exposed = r.count("exposed")
		arm.Fell = r.count("fell")
		r.failures(&arm.Failures)
		r.failures(&arm.Early)
		arm.Casualties = r.casualties()
	}
	r.counts(v.Rings, "rings")
	r.counts(v.Sites, "sites")
	for range r.entries("models of a version", 5) {
		arm := fresh(r, v.Models, r.text("a model"), "a model")
		arm.Alive, arm.Exposed = r.count("alive"), r.count("exposed")
		r.failures(&arm.Failures)
		r.failures(&arm.Early)
	}
}

func (r *stepReader) hosts(s *Step) {
	n := r.entries("what happened to hosts", 4)
	if n > maxHostIncidents {
		r.fail(fmt.Sprintf("at most %d of what happened to hosts", maxHostIncidents))
		return
	}
	if n == 0 {
		return
	}
	s.Hosts = make([]HostIncident, n)
	for i := range s.Hosts {
		h := &s.Hosts[i]
		h.Host, h.Action = r.text("a host"), HostAction(r.byte("what happened to a host"))
		if h.Action >= hostActions {
			r.fail("something known that happened to a host")
		}
		h.At, h.Seen = r.time("when it happened to a host"), r.time("when it was seen")
		if h.Action == hostTaken {
			h.Product, h.Agent = r.text("a product"), r.text("an agent")
		}
	}
}

func (r *stepReader) time(what string) int64 {
	at, read := binary.Varint(r.b)
	if read <= 0 {
		r.fail(what)
		return 0
	}
	r.b = r.b[read:]
	return at
}

func (r *stepReader) failures(f *[classes + 1]int) {
	mask := r.byte("the failures")
	if mask>>len(f) != 0 {
		r.fail("known failures")
	}
	for c := range f {
		if mask>>c&1 != 0 {
			f[c] = r.count("a number of failures")
		}
	}
}

// bounded reads how many named hosts follow.
func (r *stepReader) bounded(what string, bytes int) int {
	n := r.entries(what, bytes)
	if n > maxCasualties {
		r.fail(fmt.Sprintf("at most %d %s", maxCasualties, what))
		return 0
	}
	return n
}

func (r *stepReader) casualties() []Casualty {
	n := r.bounded("failed hosts", 4)
	if n == 0 {
		return nil
	}
	list := make([]Casualty, n)
	for i := range list {
		c := &list[i]
		c.Host, c.Site = r.text("a host"), r.text("a site")
		c.Model = r.text("a model")
		c.Class = Class(r.byte("a class of failures"))
		if c.Class >= classes {
			r.fail("a known class of failures")
		}
		c.Heard = r.time("when a host was heard")
	}
	return list
}

func (r *stepReader) counts(m map[string]int, what string) {
	for range r.entries(what, 2) {
		key := r.text("a name of " + what)
		if _, ok := m[key]; ok && r.err == nil {
			r.fail("a name of " + what + " only once")
		}
		m[key] = r.count("a number of " + what)
	}
}
