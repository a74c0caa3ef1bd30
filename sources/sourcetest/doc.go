// Package sourcetest is the contract that every pipeline.Source keeps, as
// tests: order and exclusiveness per partition, concurrency across partitions,
// acknowledgement by return value alone, redelivery of what was not
// acknowledged, orderly closing.
//
// The test of a source calls [Run] with a function that puts the given records
// where the source reads them.
package sourcetest
