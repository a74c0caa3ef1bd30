// Package store keeps documents in one SQLite file and answers the questions
// of the console: search, histogram, alerts. It is the sink for
// evaluation, demonstrations and single hosts; it needs no server.
//
// What a nil return of Write means: the documents are committed to the
// write-ahead log and the log is flushed to the disk (journal_mode=WAL,
// synchronous=FULL). synchronous=NORMAL would survive kill -9 but could lose
// the last transactions with the power, so it would not be an acknowledgement.
//
// The file is bounded: over its size the oldest events are evicted and
// counted, and alerts only when no event is left. One row per alert episode is
// kept beside the documents; it is brought up to date in the transaction that
// stores the documents, so that they never disagree. Who is in the fleet is not
// asked of the store: the gateway's inventory counts for all.
//
// One goroutine writes at a time; readers work on snapshots and never block
// the writer.
package store
