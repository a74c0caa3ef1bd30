// Package table holds the state of a rule by key: found by hash, forgotten when
// unused for longest, woken by timers, weighed in bytes, and written to and read
// from snapshots. It knows nothing of rules.
package table
