// Package event holds what travels through the pipeline: the [Record] that a
// source took in, the [Event] that a mapping makes of it and that rules judge,
// the [Document] that sinks write and the [Dead] letter of a record that could
// not be used.
//
// An Event is a scratch pad, not a message: each worker owns one, fills it,
// has it judged, encodes it and resets it for the next record. That is why
// nothing is allocated per event in the steady state, and why whoever keeps a
// string of an event beyond its Reset must clone it (strings.Clone).
package event
