// Package sequential holds the statistics that decide while data still comes:
// whether a version harms the agents that got it, and whether more agents fall
// silent than usual. All of it may be looked at after every observation
// without raising the rate of false alarms.
//
// The functions are pure: no clock, no randomness, no events.
package sequential
