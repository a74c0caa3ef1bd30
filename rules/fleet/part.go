package fleet

import (
	"context"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// Part returns one of so many parts of the inventory, from 0. An agent is
// always in the same part, and parts are about equal: so a fleet is told of
// evenly over an hour.
func (f *Fleet) Part(part, of int) []Record {
	ctx, lists := context.Background(), f.lists()
	known, _ := f.known(ctx, lists) // The error would be that of ctx.
	var records []Record
	_ = agents(ctx, lists, func(a *Agent) {
		if int(a.hash()%uint64(of)) == part {
			r := a.record(known)
			f.reported.note(a, a.fingerprint(r.Presence))
			records = append(records, r)
		}
	})
	return records
}

// reported is what was told of agents last, by Agent.hash: about 30 MB for a
// million. It is kept apart from the agents, because a listing makes one of the
// several records of an agent. It is safe for concurrent use.
type reported struct {
	mu     sync.Mutex
	prints map[uint64]uint32
}

func (r *reported) note(a *Agent, print uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.prints == nil {
		r.prints = map[uint64]uint32{}
	}
	r.prints[a.hash()] = print
}

func (r *reported) of(a *Agent) uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.prints[a.hash()]
}

// forget keeps what was told of those agents that are still known, once there are
// many others.
func (r *reported) forget(known []uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.prints) <= 2*len(known)+1000 {
		return
	}
	kept := make(map[uint64]uint32, len(known))
	for _, h := range known {
		if print, ok := r.prints[h]; ok {
			kept[h] = print
		}
	}
	r.prints = kept
}

// Changed returns the agents of which something else is known than Part and
// Changed returned last: presence, state, version, mode or content. Of those that
// neither has returned it returns most at most: after a start all are new.
func (f *Fleet) Changed(most int) []Record {
	ctx, lists := context.Background(), f.lists()
	known, _ := f.known(ctx, lists) // The error would be that of ctx.
	var records []Record
	var seen []uint64
	_ = agents(ctx, lists, func(a *Agent) {
		seen = append(seen, a.hash())
		now, before := a.fingerprint(a.presence(known.newest)), f.reported.of(a)
		if now == before {
			return
		}
		if before == 0 {
			if most == 0 {
				return
			}
			most--
		}
		f.reported.note(a, now)
		records = append(records, a.record(known))
	})
	f.reported.forget(seen)
	return records
}

// fingerprint stands for what a change of is told at once; it is never 0. Two
// that are alike by chance are told of when their part is.
func (a *Agent) fingerprint(presence string) uint32 {
	const prime = 1099511628211 // FNV-1a
	h := uint64(14695981039346656037)
	add := func(s string) {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * prime
		}
		h = (h ^ 0xff) * prime
	}
	for _, s := range [...]string{presence, a.State, a.Version, a.Mode, a.Content} {
		add(s)
	}
	for i := range a.channels {
		add(a.channels[i].name)
		add(a.channels[i].version)
	}
	return max(uint32(h^h>>32), 1)
}

// hash is the same for an agent as long as it is called the same.
func (a *Agent) hash() uint64 { return hashOf(a.ID, a.Type, a.HostName) }

// Hash is the same for all records of an agent.
func (r *Record) Hash() uint64 { return hashOf(r.ID, r.Product, r.Host) }

// hashOf is of the id, which stays when a host is renamed; of what has none, of
// product and host.
func hashOf(id, product, host string) uint64 {
	if id != "" {
		return xxhash.Sum64String(id)
	}
	return xxhash.Sum64String(product)*31 + xxhash.Sum64String(host)
}

// Size returns the number of agents that this gateway knows.
func (f *Fleet) Size() int {
	n := 0
	_ = agents(context.Background(), f.lists(), func(*Agent) { n++ })
	return n
}
