package fleet

import (
	"context"

	"github.com/cespare/xxhash/v2"
)

// Part returns one of so many parts of the inventory, from 0. An agent is
// always in the same part, and parts are about equal: so a fleet is told of
// evenly over an hour.
func (f *Fleet) Part(part, of int) []Record {
	ctx, lists := context.Background(), f.lists()
	usual, _ := f.usual(ctx, lists) // The error would be that of ctx.
	var records []Record
	_ = agents(ctx, lists, func(a *Agent) {
		if int(a.hash()%uint64(of)) == part {
			records = append(records, a.record(usual.behind(a)))
		}
	})
	return records
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
