package kinds

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// recently is how long ago an agent was heard that is not counted as silent.
const recently = int64(10 * time.Minute)

// OfferOngoing offers what the fleet's judge knows and does not take for an
// incident.
func (st *fleetState) OfferOngoing() {
	if st.kind != "bad_rollout" {
		st.missedSilence()
		return
	}
	rollouts := st.Rollouts()
	for i := range rollouts {
		r := &rollouts[i]
		if r.FirstHarm != nil || len(st.of) > 0 && !slices.Contains(st.of, r.Kind) {
			continue // It was reported already, or the rule is not about its kind.
		}
		most := fleet.Compared{Failure: "none"}
		for _, c := range r.Comparison {
			if c.LogE > most.LogE {
				most = c
			}
		}
		st.NearMisses().Offer(engine.NearMiss{
			Rule: st.Rule(), Stage: engine.MissedBound, Key: r.AlertKey, At: r.At.UnixNano(), Measure: "log e", Value: most.LogE, Bound: r.Alarm,
			Nearness: most.LogE / r.Alarm,
			Reason: fmt.Sprintf("got to %s agents of %d, with evidence of %s (log e, failure: %s, %d with it and %d without); the judge asks for %s",
				wording.Grouped(int64(r.Exposed)), r.Fleet, wording.Decimal(math.Round(most.LogE*100)/100), most.Failure, most.With, most.Without, wording.Decimal(math.Round(r.Alarm*100)/100)),
		})
	}
	if len(rollouts) == 0 {
		all, _ := st.Agents(recently)
		st.NearMisses().Offer(engine.NearMiss{
			Rule: st.Rule(), Stage: engine.MissedEntry, At: st.Now(),
			Reason: fmt.Sprintf("saw no new version (agent.version, edr.content.version) among those of %s", wording.Plural(int64(all), "agent")),
		})
	}
}

// missedSilence offers how many agents are silent.
func (st *fleetState) missedSilence() {
	all, silent := st.Agents(recently)
	st.NearMisses().Offer(engine.NearMiss{
		Rule: st.Rule(), Stage: engine.MissedBound, At: st.Now(), Measure: "silent agents", Value: float64(silent), Bound: float64(all), Nearness: float64(silent) / float64(max(all, 1)),
		Reason: fmt.Sprintf("had %s of %s not heard for %s, which the judge did not take for an incident: rules/fleet/README.md says from when on it does",
			wording.Grouped(int64(silent)), wording.Plural(int64(all), "agent"), wording.Duration(recently)),
	})
}

// checkFleetHeader refuses shared keys that mean nothing for what the judge
// finds.
func checkFleetHeader(c *spec.Checker, h *spec.Header, scope string) {
	if h.Scope != scope {
		c.Problem("scope", fmt.Sprintf("scope is %q", h.Scope), "write scope: "+scope)
	}
	if h.GroupBy != nil {
		c.Problem("group_by", "group_by has no meaning here: the judge finds what belongs together", "")
	}
	if h.Suppress != 0 || h.KeepFiringFor != 0 || h.Rollup != nil {
		c.Problem("type", "suppress, keep_firing_for and rollup have no meaning here: an incident is reported once, and again when it has grown", "")
	}
}

// fleetPlan is a compiled rule about the findings of a kind.
type fleetPlan struct {
	kind string
	of   []string // Kinds of versions; empty: all.
}

func (p *fleetPlan) Hooks() []engine.Hook { return nil }

// Horizon is the time after which usual rates and cadences are known again.
func (p *fleetPlan) Horizon() time.Duration { return time.Hour }

func (p *fleetPlan) Traits() engine.Traits { return engine.Traits{Findings: true} }

func (p *fleetPlan) NewState(s *engine.Session, r *engine.Rule) engine.State {
	return &fleetState{RuleSession: engine.NewRuleSession(s, r), kind: p.kind, of: p.of}
}

// fleetState turns findings into the documents of a rule. It remembers nothing:
// the next finding of an incident may be reported by another session.
type fleetState struct {
	engine.RuleSession
	kind string
	of   []string
}

func (st *fleetState) Observe(int, *engine.Evaluation) {}

func (st *fleetState) Next() int64 { return math.MaxInt64 }

func (st *fleetState) Fire(int64) {}

func (st *fleetState) KeyCount() (int, uint64) { return 0, 0 }

func (st *fleetState) FindingKind() string { return st.kind }

func (st *fleetState) TakeFinding(f *fleet.Finding) {
	if len(st.of) > 0 {
		kind := fleet.Sensor
		if f.Content != "" {
			kind = fleet.Content
		}
		if !slices.Contains(st.of, kind) {
			return
		}
	}
	ep := st.NewEpisode(f.Key, f.Start, "")
	ep.Count, ep.Sequence = int64(f.Count), int32(f.Number)
	var evidence []engine.Evidence
	for _, e := range f.Evidence {
		if e.Text != "" {
			evidence = append(evidence, engine.Text(e.Name, e.Text))
		} else {
			evidence = append(evidence, engine.Evidence{Name: e.Name, JSON: string(strconv.AppendFloat(nil, math.Round(e.Number*100)/100, 'f', -1, 64))})
		}
	}
	evidence = append(evidence, engine.Text("since", string(event.AppendTime(nil, f.Start))))
	st.Raise(&ep, &engine.Alert{
		At: f.At, Status: f.Status, Key: f.Key, Denominator: int64(f.Denominator), Hosts: f.Hosts, HostsTotal: f.Count,
		AgentType: f.Product, Reason: f.Reason, Evidence: evidence, Scope: f.Scope, Finding: f,
	})
}

// What the fleet's judge found goes on when a rule about it is removed: the judge
// reports it to the next rule.
func (st *fleetState) OpenAlerts(func(engine.OpenAlert)) {}

// What the fleet's rules know stands with the fleet's judge.
func (st *fleetState) Persist(*engine.Archive) {}
