// Package rules judges events.
//
// Rule files (YAML, see README.md) are read by [Parse], checked against the
// dictionary and compiled by [Files.Compile] into an immutable [Ruleset] that
// all shards share. [Ruleset.NewSession] makes the state of one shard: windows,
// episodes and timers, owned by one goroutine, without locks.
//
// Event time drives windows. The clock that is handed to [Session.Detect]
// drives silence and everything else that waits: it is the watermark of the
// feed, never the wall clock, so a replay gives the same alerts with the same
// ids.
//
// This package is the facade and the list of kinds; DEVELOPING.md shows the
// rooms behind it. A new kind of rule is one file in internal/kinds, with all of
// its methods, and one line in [Kinds].
package rules
