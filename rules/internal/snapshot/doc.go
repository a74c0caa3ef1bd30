// Package snapshot is the codec of the state of rules: a file of sections, each
// with a name, so that the state of a rule that is no more is passed over.
//
// The format: the magic line; sections, each of name (length, bytes), version
// (varint), length of the body (8 bytes, little endian) and body; the xxHash64
// of all before (8 bytes, little endian). Within a body there is no type
// information: the section's version says what it holds.
//
// A Codec goes both ways: the same calls in the same order write a value or
// read it, so that a state has one method for both and the two cannot differ.
package snapshot
