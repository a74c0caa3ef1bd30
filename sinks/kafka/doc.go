// Package kafka writes documents to a Kafka topic and keeps dead letters in
// one. Both wait until all in-sync replicas have what they wrote.
//
// A dead letter is the record as it came: the same key, value and headers,
// with headers edrwatch.dlq.* that say where it came from and why it is there,
// so that it can be sent back to its topic unchanged once the cause is
// repaired.
package kafka
