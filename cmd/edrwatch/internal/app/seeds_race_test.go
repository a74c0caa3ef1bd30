//go:build race

package app

// usualSeeds is how many readings are compared under the race detector, which makes
// each ten times slower; all are compared without it.
const usualSeeds = 30
