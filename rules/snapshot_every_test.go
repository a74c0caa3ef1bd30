package rules

import (
	"math/rand/v2"
	"testing"
	"time"
)

// everyType returns rules of all types, so that a snapshot holds a state of
// each, and events that keep them busy.
func everyType(tb testing.TB) (*Ruleset, []oracleEvent) {
	tb.Helper()
	const failing, any = `condition: event.action == "error"`, `condition: event.action != ""`
	const figure = "condition: has(edr.resource.cpu_pct)\nfield: edr.resource.cpu_pct\n"
	yaml := ""
	for i, r := range []struct{ typ, rest string }{
		{"match", failing + "\nkeep_firing_for: 10m\nrollup: {over: 2, within: 10m, by: [agent.type]}"},
		{"match", "condition: edr.resource.cpu_pct > 20\nfor: 2m\nno_data: alert"},
		{"threshold", failing + "\nwindow: 10m\nhaving: {gte: 3}"},
		{"threshold", failing + "\nwindow: 10m\nwindow_kind: tumbling\nhaving: {gte: 2}\ngroup_by: [agent.type]\nscope: fleet"},
		{"value_count", any + "\nfield: process.name\nwindow: 20m\nhaving: {gte: 2}"},
		{"value_count", any + "\nfield: process.name\nwindow: 30m\nwindow_kind: session\ngap: 5m\nhaving: {gte: 2}"},
		{"metric", figure + "function: avg\nwindow: 20m\nhaving: {gt: 50}\nno_data: alert"},
		{"metric", figure + "function: max\nwindow: 30m\nwindow_kind: session\ngap: 5m\nhaving: {gt: 30}\nsuppress: 1h"},
		{"spike", any + "\nwindow: 1m\ntimes: 2\nmin_events: 2\nsuppress: 1h"},
		{"anomaly", figure + "window: 1d\nlearn: 20"},
		{"anomaly", figure + "window: 1d\nmethod: seasonal\nlearn: 20"},
		{"anomaly", figure + "window: 1d\nmethod: ewma\nlearn: 20"},
		{"silence", any + "\nafter: 10m\nends_on: event.action == \"sensor-stopped\""},
		{"silence", any + "\nafter: 5m\ncohort: {by: [agent.type], percent: 20, min_agents: 2, min_silent: 2}\nscope: cohort"},
		{"sequence", "maxspan: 10m\nsuppress: 20m\nsteps:\n  - {name: one, condition: event.action == \"error\"}\n  - {name: two, condition: event.action == \"inventory\"}"},
		{"sequence", "maxspan: 10m\nsteps:\n  - {name: one, condition: event.action == \"error\"}\n  - {name: none, condition: event.action == \"inventory\", absent: true, within: 5m}"},
		{"new_terms", any + "\nfields: [process.name]\nwindow: 1d\nlearn: 1m"},
		{"change", "field: process.name\nwindow: 1d"},
		{"rollout", "scope: fleet"},
	} {
		yaml += ruleYAML(i+1, r.typ, r.rest)
	}
	set := compileRules(tb, dictionary(tb), yaml)
	stream := randomStream(rand.New(rand.NewPCG(5, 5)), &oracleRule{lateness: int64(5 * time.Minute)}, 400)
	return set, stream
}
