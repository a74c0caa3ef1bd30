// Package kinds holds the kinds of rules, each in a file with all of its methods:
// what a file says, its checks, its compiled plan, its state, open alerts,
// weight, snapshot, near misses, and the texts for editors and scaffolds. A kind
// of more than one file has its name in front of theirs (metric_tally.go).
//
// What several share has a file by itself, such as episode.go, window.go and
// no_data.go. Kinds never use each other; a test holds it.
package kinds
