// Package spec is what a rule file says: the keys that all rules share, their
// limits and checks, and the tests that a file holds. What the keys of one kind
// of rule mean stands in package kinds.
package spec
