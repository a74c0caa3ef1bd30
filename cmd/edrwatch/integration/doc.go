// Package integration tests the built binary as an operator runs it, against
// real servers: Apache Kafka, Elasticsearch with security, and the Splunk
// receiver of another project (deploy/testbed). It has tests only, behind the
// build tag integration:
//
//	go test -tags integration ./cmd/edrwatch/integration
//
// What must arrive is not computed by the gateway under test: the records are
// written as capture lines, one file a partition, and `edrwatch replay` says
// which documents, alerts and dead letters they make. The tests then look for
// each of them, byte for byte, on the servers. Ids are recomputed from their
// definition (hex(xxhash64(cluster, topic, epoch))-partition-offset-ordinal).
//
// Every test has topics, a consumer group, data streams and a dead-letter
// topic of its own on servers that all share.
package integration
