// Package engine judges events by compiled rules: the set and its index, the
// session with its clock and timers, agents, alerts, incidents, budgets, reload
// and snapshots.
//
// It knows no kind of rule. A kind is a [Kind] whose [Declaration] compiles to a
// [Plan], which makes a [State] for each session; what the engine has to know of
// it is a method of these. A state asks of the engine what [RuleSession] offers.
package engine
