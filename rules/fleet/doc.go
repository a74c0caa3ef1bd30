// Package fleet knows every agent and judges what only all of them together
// show: that many fall silent at once, that a site or a feed went dark, that a
// new version harms the agents that get it.
//
// A Shard holds the agents of one partition and sums up, every ten seconds of
// its clock, what they did (Step). Steps add up, over shards and over
// gateways; the Judge decides from their sums alone.
package fleet
