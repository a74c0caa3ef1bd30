package fleet

import (
	"slices"
	"strings"
	"unsafe"

	"github.com/edrwatch/edrwatch/rules/fleet/identity"
)

// united lists the agents of several rosters so that each is listed once. An
// agent has several records where its feeds are in several partitions, and where
// one came before it was known whose host it is of.
type united struct {
	of    []Roster
	names *identity.Registry // nil: only ids unite
}

// Know gives the inventory the registry by which records of one agent are found.
func (f *Fleet) Know(names *identity.Registry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names = names
}

// uniting is one listing in progress.
type uniting struct {
	reader *identity.Reader // nil: none
	// disputed are the agents about which records contradict each other.
	disputed map[named]bool
}

// named is an agent by product and id, in lower case.
type named struct{ product, id string }

// mostDisputed is how many contradictions a listing shows at most.
const mostDisputed = 10_000

// keyOf returns what all records of an agent have in common, its entity where it
// has one; 0 for what is no agent. It notes it on the agent.
func (u *uniting) keyOf(a *Agent) uint64 {
	switch {
	case a.Type == "" || a.evicted:
		return 0
	case a.ID != "":
		if !a.identified {
			a.listed, a.identified = uint64(identity.Of(a.Type, a.ID, "", "")), true
		}
	case u.reader != nil:
		a.listed = uint64(u.reader.AgentOn(a.Type, a.HostID, a.HostName))
	}
	if a.listed == 0 { // Nothing in it is a name: it is united with nothing.
		return uint64(uintptr(unsafe.Pointer(a)))
	}
	return a.listed
}

// Agents implements Roster. It goes through the rosters three times: to see which
// agents have several records, to read these, and to tell.
func (r united) Agents(yield func(*Agent) bool) {
	u := &uniting{}
	if r.names != nil {
		u.reader, u.disputed = r.names.Reader(), map[named]bool{}
		defer u.reader.Close()
		list, _ := r.names.Contradictions(mostDisputed)
		for _, c := range list {
			for _, a := range c.Agents {
				u.disputed[named{a.Product, a.ID}] = true
			}
		}
	}
	var keys []uint64
	r.each(u, func(key uint64, _ *Agent) bool {
		keys = append(keys, key)
		return true
	})
	slices.Sort(keys)
	records := map[uint64]*Agent{}
	for i := 1; i < len(keys); i++ {
		if keys[i] == keys[i-1] {
			records[keys[i]] = nil
		}
	}
	keys = nil
	if len(records) > 0 {
		r.each(u, func(key uint64, a *Agent) bool {
			if known, several := records[key]; several {
				records[key] = unite(known, a)
			}
			return true
		})
	}
	r.each(u, func(key uint64, a *Agent) bool {
		whole, several := records[key]
		switch {
		case !several:
			return yield(u.asKnown(a))
		case whole == nil:
			return true
		}
		records[key] = nil // Once.
		return yield(u.asKnown(whole))
	})
}

// asKnown returns the agent with what the registry knows of it: one that fell
// silent, or asleep, because its host was reinstalled with another agent is gone.
func (u *uniting) asKnown(a *Agent) *Agent {
	if a.ID == "" || u.reader == nil {
		return a
	}
	disputed := len(u.disputed) > 0 && u.disputed[named{a.Type, strings.ToLower(a.ID)}]
	over := a.life != alive && a.goodbye < replaced && u.reader.Replaced(a.Type, a.ID)
	if !disputed && !over {
		return a
	}
	known := *a
	if known.disputed = disputed; over {
		known.life, known.goodbye = gone, replaced
	}
	return &known
}

// each calls yield for every record of an agent until it returns false.
func (r united) each(u *uniting, yield func(key uint64, a *Agent) bool) {
	for _, roster := range r.of {
		more := true
		roster.Agents(func(a *Agent) bool {
			if key := u.keyOf(a); key != 0 {
				more = yield(key, a)
			}
			return more
		})
		if !more {
			return
		}
	}
}

// unite adds a record to what others say of the same agent; known is nil for the
// first. What it does in time is taken from the record that has its heartbeats.
func unite(known, a *Agent) *Agent {
	one := *a
	one.channels, one.exposures = slices.Clone(a.channels), nil
	if known == nil {
		return &one
	}
	first, second := known, &one
	if second.beat > first.beat || second.beat == first.beat && second.LastSeen > first.LastSeen {
		first, second = second, first
	}
	if second.life == gone && second.goodbye != noGoodbye && second.since >= first.happened {
		// Its host's log reported the goodbye, in another partition than its beats.
		first.life, first.goodbye, first.since = gone, second.goodbye, second.since
	}
	for _, text := range [...]struct {
		have *string
		more string
	}{
		{&first.ID, second.ID}, {&first.Version, second.Version}, {&first.HostName, second.HostName}, {&first.HostID, second.HostID},
		{&first.HostType, second.HostType}, {&first.OSType, second.OSType}, {&first.Model, second.Model}, {&first.Site, second.Site},
		{&first.Ring, second.Ring}, {&first.Content, second.Content}, {&first.Mode, second.Mode}, {&first.State, second.State},
		{&first.Account, second.Account}, {&first.StartType, second.StartType}, {&first.Owner, second.Owner},
	} {
		if *text.have == "" {
			*text.have = text.more
		}
	}
	if first.Protected == Untold {
		first.Protected = second.Protected
	}
	if len(first.channels) == 0 {
		first.channels = second.channels
	}
	first.naps = first.naps || second.naps
	first.FirstSeen, first.LastSeen = min(first.FirstSeen, second.FirstSeen), max(first.LastSeen, second.LastSeen)
	return first
}
