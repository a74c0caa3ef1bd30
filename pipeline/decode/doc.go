// Package decode makes JSON, or the text that was compressed, of values that
// reach edrwatch otherwise: gzip, zstd, CBOR, and Avro (or JSON) in the wire format
// of Confluent's serializers with a schema registry.
//
// It stands between sources and mappings, and below package pipeline, which knows
// it by the interface pipeline.Decoder only: a source delivers bytes and keeps
// them until they are acknowledged, so that decoding there would hold what a whole
// fetch decompresses to; a mapping has no context in which to wait for a registry.
// Here one record at a time is decoded, into buffers that the next one reuses.
//
// A value is recognised by its first bytes, which no JSON and no text begins with.
// What is decoded is looked at once more: at most two layers, such as zstd around
// Avro, are taken off, each within the size that mappings read.
package decode
