// Package sinktest is the contract of a sink as tests: whoever writes a sink
// runs [Run] against it and a scripted [Destination], and knows that the
// pipeline can rely on it.
//
// The contract: on nil every result is final; what is reported as stored is
// stored and what is reported as refused is not; nothing is lost or invented
// however often the destination fails; a document is not changed and not kept
// after Write returns; Write observes its context and is safe for concurrent
// use.
package sinktest
