package fleet

import (
	"cmp"
	"context"
	"strings"
	"time"
)

// versions are what most agents of a product and ring have.
type versions map[peers]*peerVersions

type peers struct{ product, ring string }

// peerVersions are the usual versions of one kind and ring: of the sensor, and of
// the content by channel.
type peerVersions struct {
	sensor  string
	content map[string]string
}

// usualFor is how long the usual versions of a running gateway are not counted
// again: pages of a large fleet follow each other.
const usualFor = 30 * time.Second

// knowledge is what it takes all agents to know: their usual versions, and the
// clock by which they are alive or not.
type knowledge struct {
	versions
	newest int64
}

// known returns what all agents together show.
func (f *Fleet) known(ctx context.Context, lists []Roster) (*knowledge, error) {
	now := f.clock()
	f.mu.Lock()
	known, counted, latest := f.knowledge, f.counted, f.latest
	f.mu.Unlock()
	if known == nil || now.IsZero() || now.Sub(counted) >= usualFor {
		var err error
		if known, err = knowAll(ctx, lists); err != nil {
			return nil, err
		}
		f.mu.Lock()
		f.knowledge, f.counted = known, now
		f.mu.Unlock()
	}
	if latest != 0 { // The clock goes on while the versions are not counted again.
		return &knowledge{known.versions, latest}, nil
	}
	return known, nil
}

// votes counts the versions of one kind and ring.
type votes struct {
	sensor  map[string]int
	content map[channel]int
}

// knowAll finds what most agents have that are not gone; of two versions that
// equally many have, the older one.
func knowAll(ctx context.Context, lists []Roster) (*knowledge, error) {
	counts, newest := map[peers]*votes{}, int64(0)
	if err := agents(ctx, lists, func(a *Agent) {
		newest = max(newest, a.LastSeen)
		if a.life == gone {
			return
		}
		of := counts[peers{a.Type, a.Ring}]
		if of == nil {
			of = &votes{map[string]int{}, map[channel]int{}}
			counts[peers{a.Type, a.Ring}] = of
		}
		if a.Version != "" {
			of.sensor[a.Version]++
		}
		for _, c := range a.channels {
			of.content[channel{name: c.name, version: c.version}]++
		}
	}); err != nil {
		return nil, err
	}
	usual := versions{}
	for k, of := range counts {
		found := &peerVersions{content: map[string]string{}}
		most := 0
		for version, n := range of.sensor {
			if n > most || n == most && older(version, found.sensor) {
				found.sensor, most = version, n
			}
		}
		best := map[string]int{}
		for c, n := range of.content {
			if most := best[c.name]; n > most || n == most && older(c.version, found.content[c.name]) {
				found.content[c.name], best[c.name] = c.version, n
			}
		}
		usual[k] = found
	}
	return &knowledge{usual, newest}, nil
}

// behind reports whether something of the agent is older than the usual.
func (v versions) behind(a *Agent) bool {
	of := v[peers{a.Type, a.Ring}]
	if of == nil {
		return false
	}
	if older(a.Version, of.sensor) {
		return true
	}
	for _, c := range a.channels {
		if older(c.version, of.content[c.name]) {
			return true
		}
	}
	return false
}

// older compares versions part by part; parts that are not numbers are compared
// as texts, and a version that is a prefix of another is older. What is unknown
// is not older.
func older(a, b string) bool {
	if a == "" || b == "" || a == b {
		return false
	}
	for a != "" || b != "" {
		x, y := "", ""
		x, a = part(a)
		y, b = part(b)
		if c := compareParts(x, y); c != 0 {
			return c < 0
		}
	}
	return false
}

func part(s string) (first, rest string) {
	if i := strings.IndexAny(s, ".-_+ "); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

func compareParts(x, y string) int {
	if isNumber(x) && isNumber(y) {
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
	}
	return cmp.Compare(x, y)
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
