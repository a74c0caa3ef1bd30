package fleet

import (
	"cmp"
	"strings"
)

// versions are what most agents of a product and ring have.
type versions map[versionKey]string

// versionKey is a sensor (no channel) or the content of a channel.
type versionKey struct {
	product, ring, channel string
	content                bool
}

// usualVersions finds what most agents have that are not gone; of two versions
// that equally many have, the older one.
func usualVersions(lists []Roster) versions {
	counts := map[versionKey]map[string]int{}
	add := func(k versionKey, version string) {
		if version == "" {
			return
		}
		of := counts[k]
		if of == nil {
			of = map[string]int{}
			counts[k] = of
		}
		of[version]++
	}
	agents(lists, func(a *Agent) {
		if a.life == gone {
			return
		}
		add(versionKey{product: a.Type, ring: a.Ring}, a.Version)
		for _, c := range a.channels {
			add(versionKey{a.Type, a.Ring, c.name, true}, c.version)
		}
	})
	usual := versions{}
	for k, of := range counts {
		best, most := "", 0
		for version, n := range of {
			if n > most || n == most && older(version, best) {
				best, most = version, n
			}
		}
		usual[k] = best
	}
	return usual
}

// behind reports whether something of the agent is older than the usual.
func (v versions) behind(a *Agent) bool {
	if older(a.Version, v[versionKey{product: a.Type, ring: a.Ring}]) {
		return true
	}
	for _, c := range a.channels {
		if older(c.version, v[versionKey{a.Type, a.Ring, c.name, true}]) {
			return true
		}
	}
	return false
}

// older compares versions part by part; parts that are not numbers are compared
// as texts, and a version that is a prefix of another is older. What is unknown
// is not older.
func older(a, b string) bool {
	if a == "" || b == "" {
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
