// Package cborjson writes CBOR (RFC 8949) as JSON.
//
// What JSON lacks is written as section 6.1 of the RFC advises, with two
// exceptions that event records need: tagged times become RFC 3339 text and big
// numbers become numbers. Keys keep their order, and nothing is allocated in the
// steady state; the library fxamacker/cbor checks first that the bytes are one
// well-formed data item within the limits.
package cborjson
