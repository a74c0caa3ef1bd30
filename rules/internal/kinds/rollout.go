package kinds

import (
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// Rollout is the kind of rule that alerts on a version that harms the agents that get it.
func Rollout() engine.Kind {
	return engine.Kind{
		Name:    "rollout",
		Meaning: "a version harms the agents that get it",
		New:     func() engine.Declaration { return newRolloutRule() },
		Keys: map[string]string{
			"of": "Kinds of versions: sensor, content or both.",
		},
		Scaffold: `scope: fleet
of: [sensor, content]
tests:
  - name: what gets a version falls silent
    fleet:
      - {agents: 200, every: 2m, until: +2h, set: {event.action: sensor-heartbeat, agent.type: a}, stop: [{at: +41m, agents: 1-20}]}
    events:
      - {at: +40m, repeat: {count: 20, every: 1s}, set: {event.action: content-updated, agent.id: "agent-{n}", agent.type: a, edr.content.version: "2"}}
    expect: [{by: +50m, alerts: 1}]
  - name: a healthy update
    fleet:
      - {agents: 200, every: 2m, until: +2h, set: {event.action: sensor-heartbeat, agent.type: a}}
    events:
      - {at: +40m, repeat: {count: 20, every: 1s}, set: {event.action: content-updated, agent.id: "agent-{n}", agent.type: a, edr.content.version: "2"}}
    expect: [{by: +2h, alerts: 0}]
`,
	}
}

// rolloutRule alerts on a version that harms the agents that get it.
type rolloutRule struct {
	spec.Header `yaml:",inline"`
	Of          []string `yaml:"of"`
}

func newRolloutRule() *rolloutRule {
	return &rolloutRule{Header: spec.DefaultHeader(), Of: []string{fleet.Sensor, fleet.Content}}
}

func (d *rolloutRule) Check(c *spec.Checker) {
	if len(d.Of) == 0 {
		c.Problem("of", "of is empty", "name sensor, content or both")
	}
	for _, of := range d.Of {
		c.OneOf("of", of, []string{fleet.Sensor, fleet.Content})
	}
	checkFleetHeader(c, &d.Header, "fleet")
}

func (d *rolloutRule) Compile(*engine.Compiler) engine.Plan {
	return &fleetPlan{kind: "bad_rollout", of: d.Of}
}
