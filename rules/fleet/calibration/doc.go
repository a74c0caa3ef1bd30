// Package calibration holds no code but simulations, as tests: they let the
// judge of the fleet and its statistics live through years in which nothing
// happens, and through incidents, and count. README.md shows what came out.
package calibration
