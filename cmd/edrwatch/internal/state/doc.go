// Package state keeps snapshots of partitions' state on a compacted Kafka
// topic, so that a gateway that restarts, or takes a partition over, goes on
// where the one before was.
//
// The key of a record is SHARD/SLOT/CHUNK: a shard's snapshots take turns in
// two slots, so that one is whole while the next is being written, and each is
// cut into chunks. All records of a shard are in one partition of the topic. A
// chunk that a snapshot does not need any more becomes a tombstone.
//
// Beside them stand the ids of acts that are done, so that none is done twice
// because a gateway was killed before it committed.
package state
