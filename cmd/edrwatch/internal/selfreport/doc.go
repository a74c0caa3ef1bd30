// Package selfreport writes the documents that no record becomes: what the
// gateway says about itself, so that a SIEM notices when the watcher dies, and
// the state of every agent and every rollout once an hour, so that dashboards
// show the fleet.
package selfreport
