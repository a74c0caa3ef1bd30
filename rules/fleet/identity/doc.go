// Package identity knows which names belong to one agent, and to one host.
//
// Records name an agent in many ways: by the vendor's sensor id, by an id of
// the host, by its name with or without a domain, by a serial number. A record
// that carries two names links them. A [Registry] keeps these links; a [Reader]
// of a shard resolves the names of an event to one entity, and collects what the
// event links into [Links], which [Registry.Apply] makes visible to all.
//
// Links form a semilattice: applying them is commutative, associative and
// idempotent, so that what is known does not depend on the order of partitions
// and gateways. The README says which names there are and what links of them do.
package identity
