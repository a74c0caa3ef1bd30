// Package demo replays 19 July 2024 on a simulated fleet through a complete
// gateway (embedded broker, store, console) and compares the alerts in the
// store with what really happened to the fleet.
package demo
