package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// unwritten is the description of a rule whose author has not written one yet.
const unwritten = "Say in one sentence what has happened when this rule alerts."

// Scaffold returns the beginning of a rule file of a type: it loads, and its
// tests pass. It returns an error for a type that does not exist.
func Scaffold(typ, name, id string) ([]byte, error) {
	if !slices.Contains(typeNames(), typ) {
		if near, ok := strict.Nearest(typ, typeNames()); ok {
			return nil, fmt.Errorf("unknown rule type %q: did you mean %q? There are %s", typ, near, strings.Join(typeNames(), ", "))
		}
		return nil, fmt.Errorf("unknown rule type %q: there are %s", typ, strings.Join(typeNames(), ", "))
	}
	body := scaffolds()[typ]
	head := fmt.Sprintf(`id: %s
name: %s
version: 1
kind: other
description: %s
severity: low
risk_score: 15
false_positives:
  - What looks the same and is harmless.
known_gaps:
  - What the rule cannot see.
note: |
  ## Triage
  1. What an analyst looks at first.
type: %s
`, id, event.AppendString(nil, name), unwritten, typ)
	return []byte(head + body), nil
}

// scaffolds are the type's own keys and tests.
func scaffolds() map[string]string {
	return map[string]string{
		"match": `condition: event.action == "log-cleared"
tests:
  - name: it happens
    events: [{at: +0m, set: {event.action: log-cleared, agent.id: a1}}]
    expect: [{by: +1m, alerts: 1}]
  - name: something else happens
    events: [{at: +0m, set: {event.action: sensor-heartbeat, agent.id: a1}}]
    expect: [{by: +1m, alerts: 0}]
`,
		"rollout": `scope: fleet
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
		"threshold": `condition: event.action == "sensor-stopped"
window: 1h
having: {gte: 3}
tests:
  - name: three times
    events: [{at: +0m, repeat: {count: 3, every: 10m}, set: {event.action: sensor-stopped, agent.id: a1}}]
    expect: [{by: +20m, alerts: 1}]
  - name: twice
    events: [{at: +0m, repeat: {count: 2, every: 10m}, set: {event.action: sensor-stopped, agent.id: a1}}]
    expect: [{by: +2h, alerts: 0}]
`,
		"value_count": `condition: event.action == "sensor-stopped"
field: entity
group_by: [agent.type]
scope: cohort
window: 10m
having: {gte: 3}
tests:
  - name: three agents
    events: [{at: +0m, repeat: {count: 3, every: 1m}, set: {event.action: sensor-stopped, agent.id: "a{n}", agent.type: x}}]
    expect: [{by: +2m, alerts: 1}]
  - name: one agent three times
    events: [{at: +0m, repeat: {count: 3, every: 1m}, set: {event.action: sensor-stopped, agent.id: a1, agent.type: x}}]
    expect: [{by: +1h, alerts: 0}]
`,
		"change": `field: edr.policy.name
window: 4h
tests:
  - name: another policy
    events:
      - {at: +0m, set: {agent.id: a1, edr.policy.name: strict}}
      - {at: +1h, set: {agent.id: a1, edr.policy.name: lax}}
    expect: [{by: +1h, alerts: 1}]
  - name: the same policy
    events: [{at: +0m, repeat: {count: 5, every: 1h}, set: {agent.id: a1, edr.policy.name: strict}}]
    expect: [{by: +1d, alerts: 0}]
`,
		"new_terms": `condition: event.action == "module-loaded"
fields: [edr.module.name]
window: 4h
learn: 1h
tests:
  - name: a new module
    events:
      - {at: +0m, repeat: {count: 4, every: 30m}, set: {event.action: module-loaded, agent.id: a1, edr.module.name: usual.dll}}
      - {at: +2h, set: {event.action: module-loaded, agent.id: a1, edr.module.name: new.dll}}
    expect: [{by: +2h, alerts: 1}]
  - name: the usual module
    events: [{at: +0m, repeat: {count: 6, every: 30m}, set: {event.action: module-loaded, agent.id: a1, edr.module.name: usual.dll}}]
    expect: [{by: +1d, alerts: 0}]
`,
		"sequence": `maxspan: 10m
steps:
  - {name: the agent crashed, condition: 'event.action == "sensor-crashed"'}
  - {name: it started again, condition: 'event.action == "sensor-started"', absent: true}
  - {name: the host crashed, condition: 'event.action == "host-crashed"'}
tests:
  - name: crash after crash
    events:
      - {at: +0m, set: {event.action: sensor-crashed, agent.id: a1}}
      - {at: +5m, set: {event.action: host-crashed, agent.id: a1}}
    expect: [{by: +5m, alerts: 1}]
  - name: recovered in between
    events:
      - {at: +0m, set: {event.action: sensor-crashed, agent.id: a1}}
      - {at: +1m, set: {event.action: sensor-started, agent.id: a1}}
      - {at: +5m, set: {event.action: host-crashed, agent.id: a1}}
    expect: [{by: +1h, alerts: 0}]
`,
		"metric": `condition: event.action == "resource-usage"
field: edr.resource.cpu_pct
function: avg
window: 30m
min_events: 5
having: {gte: 50}
tests:
  - name: busy
    events: [{at: +0m, repeat: {count: 10, every: 1m}, set: {event.action: resource-usage, agent.id: a1, edr.resource.cpu_pct: 80}}]
    expect: [{by: +10m, alerts: 1}]
  - name: idle
    events: [{at: +0m, repeat: {count: 10, every: 1m}, set: {event.action: resource-usage, agent.id: a1, edr.resource.cpu_pct: 5}}]
    expect: [{by: +1h, alerts: 0}]
`,
		"spike": `condition: event.action == "error"
window: 10m
history: 6
min_history: 3
times: 4
min_events: 20
tests:
  - name: a burst
    events:
      - {at: +0m, repeat: {count: 60, every: 1m}, set: {event.action: error, agent.id: a1}}
      - {at: +61m, repeat: {count: 60, every: 1s}, set: {event.action: error, agent.id: a1}}
    expect: [{by: +63m, alerts: 1}]
  - name: as always
    events: [{at: +0m, repeat: {count: 180, every: 1m}, set: {event.action: error, agent.id: a1}}]
    expect: [{by: +4h, alerts: 0}]
`,
		"anomaly": `condition: event.action == "resource-usage"
field: edr.resource.memory_bytes
learn: 60
window: 4h
tests:
  - name: a jump
    events:
      - {at: +0m, repeat: {count: 120, every: 1m}, set: {event.action: resource-usage, agent.id: a1, edr.resource.memory_bytes: 100000000}}
      - {at: +120m, set: {event.action: resource-usage, agent.id: a1, edr.resource.memory_bytes: 900000000}}
    expect: [{by: +121m, alerts: 1}]
  - name: level
    events: [{at: +0m, repeat: {count: 200, every: 1m}, set: {event.action: resource-usage, agent.id: a1, edr.resource.memory_bytes: 100000000}}]
    expect: [{by: +4h, alerts: 0}]
`,
		"silence": `condition: event.action == "sensor-heartbeat"
after: 20m
tests:
  - name: an agent stops
    fleet: [{agents: 10, every: 1m, until: +2h, set: {event.action: sensor-heartbeat}, stop: [{at: +30m, agents: "7"}]}]
    expect: [{by: +60m, alerts: 1}]
  - name: all agents live
    fleet: [{agents: 10, every: 1m, until: +2h, set: {event.action: sensor-heartbeat}}]
    expect: [{by: +2h, alerts: 0}]
`,
	}
}
