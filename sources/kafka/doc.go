// Package kafka delivers the records of Kafka topics to one worker a
// partition and commits what the workers acknowledged.
//
// Membership, heartbeats, assignment and commits are kafka-go's ConsumerGroup
// and Generation, so that a commit is fenced by the generation: an offset of a
// partition that was lost cannot move. Fetching is this package's own, one
// connection a partition over kafka-go's authenticated dialer, because
// kafka-go's readers neither bound what a batch decompresses to, nor skip
// transaction markers and aborted records, nor tell the offsets of a batch
// that they cannot read.
//
// Memory is bounded by max_in_flight_bytes: half for batches as they come from
// the network, half for what they decompress to. A response is only read when
// there is room for it; until then it waits in the broker.
package kafka
