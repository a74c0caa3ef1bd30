// Package variation is a second generator of fleets, written apart from
// sources/simulator so that rules are not tuned to one of them: five vendors in
// other shapes, heartbeats from thirty seconds to fifteen minutes, hosts that
// never tell their type, ring or site, Windows events as four shippers send
// them, and captures that begin without any history.
//
// It lays the whole life of every host out in time, lets a scenario change
// those lives, and sorts what they emit; the simulator lets a fleet live.
package variation
