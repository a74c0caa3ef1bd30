//go:build !race

package app

// usualSeeds is how many readings are compared where nothing else is said.
const usualSeeds = 200
