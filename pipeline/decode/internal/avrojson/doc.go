// Package avrojson writes Avro's binary encoding as plain JSON.
//
// A schema is compiled once into a plan of nodes with their keys in JSON already;
// a plan then walks a value and appends JSON, in the order of the fields, without
// allocating. The JSON is what a consumer of events expects, not the encoding
// that the Avro specification calls JSON: the value of a union stands without the
// name of its branch, bytes are Base64, and times and decimals are written as such.
package avrojson
