package rules

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// Rollout is the kind of rule that alerts on a version that harms the agents that get it.
func Rollout() Kind {
	return Kind{
		Name: "rollout",
		New:  func() declaration { return newRolloutRule() },
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
	Header `yaml:",inline"`
	Of     []string `yaml:"of"`
}

func newRolloutRule() *rolloutRule {
	return &rolloutRule{Header: defaultHeader(), Of: []string{fleet.Sensor, fleet.Content}}
}

func (d *rolloutRule) header() *Header { return &d.Header }

func (d *rolloutRule) check(c *checker) {
	if len(d.Of) == 0 {
		c.problem("of", "of is empty", "name sensor, content or both")
	}
	for _, of := range d.Of {
		c.oneOf("of", of, []string{fleet.Sensor, fleet.Content})
	}
	checkFleetHeader(c, &d.Header, "fleet")
}

func (d *rolloutRule) compile(*compiler) plan {
	return &fleetPlan{kind: "bad_rollout", of: d.Of}
}

// fleetVerdicts are the values of verdict and the findings that they stand for.
func fleetVerdicts() map[string]string {
	return map[string]string{"cohort": "mass_silence", "site": "site_outage", "feed": "pipeline_silence"}
}

// checkFleetSilence checks a silence rule about what the fleet's judge found.
func checkFleetSilence(c *checker, d *silenceRule) {
	if !c.oneOf("verdict", d.Verdict, slices.Sorted(maps.Keys(fleetVerdicts()))) {
		return
	}
	for key, set := range map[string]bool{
		"condition": d.Condition.Value != "", "after": d.After != 0, "multiple_of_cadence": d.MultipleOfCadence != 0, "ends_on": d.EndsOn.Value != "",
		"host": d.Host != "any", "host_type": len(d.HostType) > 0, "cohort": d.Cohort != nil,
	} {
		if set {
			c.problem(key, key+" has no meaning beside verdict", "the fleet's judge knows when each agent is due")
		}
	}
	checkFleetHeader(c, &d.Header, map[string]string{"cohort": "cohort", "site": "site", "feed": "pipeline"}[d.Verdict])
}

// checkFleetHeader refuses shared keys that mean nothing for what the judge
// finds.
func checkFleetHeader(c *checker, h *Header, scope string) {
	if h.Scope != scope {
		c.problem("scope", fmt.Sprintf("scope is %q", h.Scope), "write scope: "+scope)
	}
	if h.GroupBy != nil {
		c.problem("group_by", "group_by has no meaning here: the judge finds what belongs together", "")
	}
	if h.Suppress != 0 || h.KeepFiringFor != 0 || h.Rollup != nil {
		c.problem("type", "suppress, keep_firing_for and rollup have no meaning here: one incident is told of once, and again when it has grown", "")
	}
}

// fleetPlan is a compiled rule about the findings of a kind.
type fleetPlan struct {
	kind string
	of   []string // Kinds of versions; empty: all.
}

func (p *fleetPlan) hooks() []hook { return nil }

// horizon is the time after which usual rates and cadences are known again.
func (p *fleetPlan) horizon() time.Duration { return time.Hour }

func (p *fleetPlan) traits() traits { return traits{} }

func (p *fleetPlan) newState(s *Session, r *Rule) state {
	return &fleetState{RuleSession: RuleSession{s, r}, kind: p.kind, of: p.of}
}

// fleetState turns findings into the documents of a rule. It remembers nothing:
// the next finding of an incident may be told by another session.
type fleetState struct {
	RuleSession
	kind string
	of   []string
}

func (st *fleetState) observe(int, *moment) {}
func (st *fleetState) next() int64          { return math.MaxInt64 }
func (st *fleetState) fire(int64)           {}
func (st *fleetState) keys() (int, uint64)  { return 0, 0 }

func (st *fleetState) findingKind() string { return st.kind }

func (st *fleetState) takeFinding(f *fleet.Finding) {
	if len(st.of) > 0 {
		kind := fleet.Sensor
		if f.Content != "" {
			kind = fleet.Content
		}
		if !slices.Contains(st.of, kind) {
			return
		}
	}
	ep := st.newEpisode(f.Key, f.Start, "")
	ep.count, ep.sequence = int64(f.Count), f.Number
	var evidence []pair
	for _, e := range f.Evidence {
		if e.Text != "" {
			evidence = append(evidence, text(e.Name, e.Text))
		} else {
			evidence = append(evidence, pair{e.Name, string(strconv.AppendFloat(nil, math.Round(e.Number*100)/100, 'f', -1, 64))})
		}
	}
	evidence = append(evidence, text("since", string(event.AppendTime(nil, f.Start))))
	st.raise(&ep, &alert{
		at: f.At, status: f.Status, key: f.Key, denominator: int64(f.Denominator), hosts: f.Hosts, hostsTotal: f.Count,
		agentType: f.Product, reason: f.Reason, evidence: evidence, scope: f.Scope, finding: f,
	})
}
