package enrich

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Selector is by what a row of a file names hosts.
type Selector uint8

// The selectors, the weakest first.
const (
	None      Selector = iota // no row says it
	ByNetwork                 // the network of an address
	ByTag                     // a tag of the host
	ByName                    // the name, or a pattern of it, of the host, or the agent's id
)

// By says what rows an event's attributes are from: site, ring, owner and
// criticality.
type By [attributeCount]Selector

const attributeCount = 4

// fields are the homes of the attributes, in their order.
var fields = [attributeCount]ecs.ID{ecs.EDRSite, ecs.EDRRolloutRing, ecs.EDRAssetOwner, ecs.EDRAssetCriticality}

// entry is what one row says.
type entry [attributeCount]string

// pattern is a row about hosts whose names look alike.
type pattern struct {
	glob     string
	literals int // characters that are no wildcard
	entry    uint32
}

// table is the rows of all files, indexed. It is immutable.
type table struct {
	entries  []entry
	agents   map[string]uint32
	hosts    map[string]uint32
	tags     map[string]uint32
	networks map[netip.Prefix]uint32
	bits     [2][]int // lengths of the networks of IPv4 and IPv6, longest first
	// Patterns by what stands in front of their first wildcard, the most
	// literal first; lengths are those of the keys, longest first.
	patterns map[string][]pattern
	lengths  []int
}

// maxUnanchored bounds the patterns that begin with a wildcard, because every
// event is compared with each of them.
const maxUnanchored = 256

// newTable indexes rows. Of two rows about the same the later stands.
func newTable(rows []row) (*table, error) {
	t := &table{
		agents: map[string]uint32{}, hosts: map[string]uint32{}, tags: map[string]uint32{},
		networks: map[netip.Prefix]uint32{}, patterns: map[string][]pattern{},
	}
	known := map[entry]uint32{} // Many hosts share a site and a ring.
	for i := range rows {
		r := &rows[i]
		index, ok := known[r.values]
		if !ok {
			index = uint32(len(t.entries))
			t.entries = append(t.entries, r.values)
			known[r.values] = index
		}
		if err := t.add(r, index); err != nil {
			return nil, err
		}
	}
	for prefix := range t.networks {
		family := &t.bits[0]
		if prefix.Addr().Is6() {
			family = &t.bits[1]
		}
		if !slices.Contains(*family, prefix.Bits()) {
			*family = append(*family, prefix.Bits())
		}
	}
	for _, family := range t.bits {
		slices.SortFunc(family, func(a, b int) int { return b - a })
	}
	for anchor, list := range t.patterns {
		slices.SortStableFunc(list, func(a, b pattern) int { return b.literals - a.literals })
		if !slices.Contains(t.lengths, len(anchor)) {
			t.lengths = append(t.lengths, len(anchor))
		}
	}
	slices.SortFunc(t.lengths, func(a, b int) int { return b - a })
	return t, nil
}

func (t *table) add(r *row, index uint32) error {
	key := strings.ToLower(r.key)
	switch r.selector {
	case "agent":
		t.agents[key] = index
	case "tag":
		t.tags[r.key] = index
	case "network":
		prefix, err := netip.ParsePrefix(key)
		if address, notAddress := netip.ParseAddr(key); err != nil && notAddress == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil || prefix.Addr().Is4In6() {
			return r.fail("expected a network such as 203.0.113.0/24, found %q", r.key)
		}
		t.networks[prefix.Masked()] = index
	case "host":
		wildcard := strings.IndexAny(key, "*?[")
		if wildcard < 0 {
			t.hosts[key] = index
			return nil
		}
		if _, err := path.Match(key, ""); err != nil {
			return r.fail("expected a host name or a pattern with *, ? and [a-z], found %q", r.key)
		}
		anchor := key[:wildcard]
		if anchor == "" && len(t.patterns[""]) >= maxUnanchored {
			return r.fail("expected at most %d patterns that begin with a wildcard: every event is compared with each", maxUnanchored)
		}
		t.patterns[anchor] = append(t.patterns[anchor], pattern{key, len(key) - strings.Count(key, "*") - strings.Count(key, "?"), index})
	default:
		return fmt.Errorf("selector %q is not one", r.selector)
	}
	return nil
}

// found collects what rows say of an event. What was found first stands.
type found struct {
	values entry
	by     By
	open   int // attributes without a value
}

func (f *found) add(e *entry, by Selector) {
	for i, v := range e {
		if v != "" && f.values[i] == "" {
			f.values[i], f.by[i] = v, by
			f.open--
		}
	}
}

// lookUp collects what the rows say of an event: those about the agent first,
// then those about the host's name, patterns of it (the most literal first),
// tags, and networks (the smallest first).
func (t *table) lookUp(e *event.Event) found {
	f := found{open: attributeCount}
	if len(t.agents) > 0 {
		if v := e.Get(ecs.AgentID); v != nil {
			if i, ok := t.agents[lower(e, v.Str())]; ok {
				f.add(&t.entries[i], ByName)
			}
		}
	}
	if f.open > 0 && len(t.hosts)+len(t.patterns) > 0 {
		if v := e.Get(ecs.HostName); v != nil {
			t.byHost(&f, lower(e, v.Str()))
		}
	}
	if f.open > 0 && len(t.tags) > 0 {
		if v := e.Get(ecs.Tags); v != nil {
			for i := range count(v) {
				if at, ok := t.tags[item(v, i)]; ok {
					f.add(&t.entries[at], ByTag)
				}
			}
		}
	}
	if f.open > 0 && len(t.networks) > 0 {
		t.byAddress(&f, e.Get(ecs.ObserverIP))
		t.byAddress(&f, e.Get(ecs.HostIP))
	}
	return f
}

func (t *table) byHost(f *found, name string) {
	short, _, _ := strings.Cut(name, ".")
	for _, n := range [...]string{name, short} {
		if i, ok := t.hosts[n]; ok {
			f.add(&t.entries[i], ByName)
		}
	}
	for _, length := range t.lengths {
		if length > len(name) {
			continue
		}
		for _, p := range t.patterns[name[:length]] {
			// The syntax was checked when the file was read.
			if ok, _ := path.Match(p.glob, name); ok {
				f.add(&t.entries[p.entry], ByName)
			} else if ok, _ := path.Match(p.glob, short); ok {
				f.add(&t.entries[p.entry], ByName)
			}
			if f.open == 0 {
				return
			}
		}
	}
}

func (t *table) byAddress(f *found, v *event.Value) {
	if v == nil || f.open == 0 {
		return
	}
	for i := range count(v) {
		address, err := netip.ParseAddr(item(v, i))
		if err != nil {
			continue
		}
		address = address.Unmap().WithZone("")
		family := t.bits[0]
		if address.Is6() {
			family = t.bits[1]
		}
		for _, bits := range family {
			prefix, err := address.Prefix(bits)
			if err != nil {
				continue
			}
			if at, ok := t.networks[prefix]; ok {
				f.add(&t.entries[at], ByNetwork)
			}
		}
	}
}

// count is the number of texts of a value, item one of them: a list field can
// hold a single text.
func count(v *event.Value) int {
	if list := v.List(); list != nil {
		return len(list)
	}
	return 1
}

func item(v *event.Value, i int) string {
	if list := v.List(); list != nil {
		return list[i]
	}
	return v.Str()
}

// lower folds the case of ASCII in the event's scratch room.
func lower(e *event.Event, s string) string {
	i := 0
	for i < len(s) && s[i]-'A' >= 26 {
		i++
	}
	if i == len(s) {
		return s
	}
	out := append(e.Scratch(len(s)), s...)
	for ; i < len(out); i++ {
		if out[i]-'A' < 26 {
			out[i] |= 0x20
		}
	}
	return event.View(out)
}
