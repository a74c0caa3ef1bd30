// Package enrich adds to every event what its user knows about the host and no
// agent says: site, update ring, owner and criticality, from CSV or YAML files
// that name hosts, agents, tags or networks.
//
// An [Enricher] is shared by all shards. It reads its files again when they
// change; a file that cannot be used leaves the rows as they were. Adding to
// an event allocates nothing.
package enrich
