// Package canary plays an agent in every feed, which proves that the gateway
// would notice one that falls silent: its heartbeats have to come back through
// the feed, the mapping and the rules in time, and from time to time it falls
// silent until a rule about silence says so.
//
// The gateway that owns partition 0 of a feed plays and watches its canary. A
// second agent, the witness, goes on while the canary is silent: it tells that
// the way is open, and time goes by for the canary in a feed to which nothing
// else comes. Both are native records with agent.type edrwatch-canary, which are
// judged apart from all others (rules.Session.Canary) and become no documents.
//
// A canary that is not heard (deaf), or whose silence no rule notices (mute), is
// reported once, and once more when it is over.
package canary
