package fleet

import (
	"context"

	"github.com/cespare/xxhash/v2"
)

// Part returns one of so many parts of the inventory, from 0. An agent is
// always in the same part, and parts are about equal: so a fleet is written
// evenly over an hour.
func (f *Fleet) Part(part, of int) []Record {
	ctx, lists := context.Background(), f.lists()
	known, _ := f.known(ctx, lists) // The error would be that of ctx.
	f.informing.Lock()
	defer f.informing.Unlock()
	if f.informed == nil {
		f.informed = map[uint64]uint32{}
	}
	var records []Record
	_ = agents(ctx, lists, func(a *Agent) {
		if hash := a.hash(); int(hash%uint64(of)) == part {
			r := a.record(known)
			f.informed[hash] = a.fingerprint(r.Presence)
			records = append(records, r)
		}
	})
	return records
}

// Changed returns the agents of which something else is known than Part and
// Changed returned last: presence, state, version, mode or content. Of those that
// neither has returned it returns most at most: after a start all are new.
func (f *Fleet) Changed(most int) []Record {
	ctx, lists := context.Background(), f.lists()
	known, _ := f.known(ctx, lists) // The error would be that of ctx.
	f.informing.Lock()
	defer f.informing.Unlock()
	if f.informed == nil {
		f.informed = map[uint64]uint32{}
	}
	var records []Record
	listed := 0
	_ = agents(ctx, lists, func(a *Agent) {
		listed++
		hash, now := a.hash(), a.fingerprint(a.presence(known.newest))
		before := f.informed[hash]
		if now == before {
			return
		}
		if before == 0 {
			if most == 0 {
				return
			}
			most--
		}
		f.informed[hash] = now
		records = append(records, a.record(known))
	})
	if len(f.informed) > 2*listed+leastInformed { // Most are of agents that are no more.
		kept := make(map[uint64]uint32, listed)
		_ = agents(ctx, lists, func(a *Agent) {
			if hash := a.hash(); f.informed[hash] != 0 {
				kept[hash] = f.informed[hash]
			}
		})
		f.informed = kept
	}
	return records
}

// leastInformed is how many fingerprints are kept without a look whether their
// agents are still known.
const leastInformed = 4096

// fingerprint stands for what is written at once when it changes; it is never 0.
// A change that leaves it alike by chance is written when the agent's part is.
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
