package identity

import "slices"

// Links are what records linked: names that belong together and what was said of
// agents. They are made by one [Reader], may be encoded, and are applied to any
// number of registries. They are not changed once they are taken.
type Links struct {
	links        []link
	observations []observation
	sources      []string // that the bits of link.sources stand for
}

// link says that records named a and b together.
type link struct {
	a, b        Name
	first, last uint32 // seconds since 1970
	sources     uint32
	marks       marks // of b and of the link
	from        marks // of a
}

// observation is what is known of one name alone.
type observation struct {
	name               Name
	began, heard, seen uint32 // seconds since 1970; heard counts own records alone
	marks              marks
	values             [properties]reported
}

// reported is a property of an agent as a record gave it.
type reported struct {
	value string
	at    uint32 // seconds since 1970
	rank  Rank
}

// Property is what a registry remembers of an agent beside its names.
type Property uint8

// The properties.
const (
	Version     Property = iota // agent.version
	Site                        // edr.site
	Ring                        // edr.rollout.ring
	Owner                       // edr.asset.owner
	Criticality                 // edr.asset.criticality

	properties
)

// Rank says how much a property is to be believed, beside when it was reported.
type Rank uint8

// The ranks, the weakest first.
const (
	ByNetwork Rank = iota // of the network that the host is in
	ByRecord              // the record itself says it
	ByTag                 // by a tag of the host
	ByName                // by the name of the host or agent, from a file
)

// marks are what was seen at least once.
type marks uint8

const (
	upperCase marks = 1 << iota // written with letters, all of them capitals
	otherCase                   // written in any other way
	asHost                      // of a link: given as the host's name, not derived
	shared                      // of a observation: too many have the name; it links nothing
	suspect                     // there may be a contradiction; not for others
)

// spelling are the marks of how a name is written.
const spelling = upperCase | otherCase

// Empty reports whether there is nothing.
func (l *Links) Empty() bool { return l == nil || len(l.links)+len(l.observations) == 0 }

// Len is how many facts there are.
func (l *Links) Len() int {
	if l == nil {
		return 0
	}
	return len(l.links) + len(l.observations)
}

// maxSources is how many sources links distinguish. The last stands for all
// others.
const maxSources = 32

// source returns the bit of a source.
func (l *Links) source(name string) uint32 {
	i := slices.Index(l.sources, name)
	if i < 0 {
		if len(l.sources) == maxSources-1 {
			name = "others"
		}
		if len(l.sources) < maxSources {
			l.sources = append(l.sources, string(append([]byte(nil), name...)))
		}
		i = len(l.sources) - 1
	}
	return 1 << i
}
