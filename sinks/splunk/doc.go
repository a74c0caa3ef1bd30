// Package splunk writes documents to Splunk's HTTP Event Collector (HEC).
//
// The collector takes a request as a whole: one bad event costs the batch
// unless the sender reads which one it was. This writer cuts that event out
// and sends the rest again (reply.go has the table of all codes). Splunk has
// no idempotent writes: an event whose request was not answered is sent again
// and may be there twice; the indexed field event_id allows to dedup.
//
// With indexer acknowledgement an event counts as written only when an indexer
// says so, and is sent again when none does.
package splunk
