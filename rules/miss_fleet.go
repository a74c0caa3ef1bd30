package rules

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// recently is how long ago an agent was heard that is not counted as silent.
const recently = int64(10 * time.Minute)

// missedSoFar offers what the fleet's judge knows and does not take for an
// incident.
func (st *fleetState) offerOngoing() {
	if st.kind != "bad_rollout" {
		st.missedSilence()
		return
	}
	rollouts := st.rollouts()
	for i := range rollouts {
		r := &rollouts[i]
		if r.FirstHarm != nil || len(st.of) > 0 && !slices.Contains(st.of, r.Kind) {
			continue // It was told of, or is not asked for.
		}
		most := fleet.Compared{Failure: "none"}
		for _, c := range r.Comparison {
			if c.LogE > most.LogE {
				most = c
			}
		}
		st.near().offer(Miss{
			Rule: st.rule(), Stage: MissedBound, Key: r.AlertKey, At: r.At.UnixNano(), Measure: "log e", Value: most.LogE, Bound: r.Alarm,
			Nearness: most.LogE / r.Alarm,
			Reason: fmt.Sprintf("got to %s agents of %d, with evidence of %s (log e, failure: %s, %d with it and %d without); the judge asks for %s",
				grouped(int64(r.Exposed)), r.Fleet, decimal(math.Round(most.LogE*100)/100), most.Failure, most.With, most.Without, decimal(math.Round(r.Alarm*100)/100)),
		})
	}
	if len(rollouts) == 0 {
		all, _ := st.agents(recently)
		st.near().offer(Miss{
			Rule: st.rule(), Stage: MissedEntry, At: st.now(),
			Reason: fmt.Sprintf("of %s told of a version that was new (agent.version, edr.content.version)", plural(int64(all), "agent")),
		})
	}
}

// missedSilence offers how many agents are silent.
func (st *fleetState) missedSilence() {
	all, silent := st.agents(recently)
	st.near().offer(Miss{
		Rule: st.rule(), Stage: MissedBound, At: st.now(), Measure: "silent agents", Value: float64(silent), Bound: float64(all), Nearness: float64(silent) / float64(max(all, 1)),
		Reason: fmt.Sprintf("had %s of %s not heard for %s, which the judge did not take for an incident: rules/fleet/README.md says from when on it does",
			grouped(int64(silent)), plural(int64(all), "agent"), duration(recently)),
	})
}
