package selfreport

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// Rollouts tells of every version that agents get once a period, and at once
// when the verdict on it changes.
type Rollouts struct {
	Periodic
	// List returns what is known of them, with the verdicts.
	List func() []fleet.Rollout

	written map[string]lastWritten // by key
}

// rolloutsEvery is how often verdicts are looked at.
const rolloutsEvery = time.Minute

// lastWritten is what was written about a rollout last.
type lastWritten struct {
	verdict fleet.Verdict
	period  int64
}

// Run writes documents about the rollouts until ctx ends.
func (r *Rollouts) Run(ctx context.Context) {
	tick := time.NewTicker(rolloutsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.Write(ctx)
		}
	}
}

// Write writes what is due. What a sink does not take is due again. It belongs
// to one goroutine, that of Run.
func (r *Rollouts) Write(ctx context.Context) {
	at := r.Now().UTC().Truncate(rolloutsEvery)
	period := at.UnixNano() / int64(r.Period)
	var docs []*event.Document
	due := map[string]lastWritten{}
	list := r.List()
	for i := range list {
		key, now := list[i].AlertKey, lastWritten{list[i].Verdict, period}
		if due[key] = now; r.written[key] != now {
			docs = append(docs, r.document(&list[i], at))
		}
	}
	if len(docs) > 0 && !r.deliver(ctx, docs, rolloutsEvery, "documents about rollouts were not delivered; they come again") {
		return
	}
	r.written = due // What is forgotten is not there any more.
}

// document makes the document about a rollout. Gateways that know the same
// write it once.
func (r *Rollouts) document(x *fleet.Rollout, at time.Time) *event.Document {
	id := event.HashID("rollout", x.AlertKey, string(x.Verdict), strconv.FormatInt(at.Unix(), 36))
	e := newEvent(r.Dictionary, "rollout-judged", at, id)
	e.SetString(ecs.EventDataset, "edr.rollout")
	for id, text := range map[ecs.ID]string{
		ecs.AgentType: x.Product, ecs.EDRRolloutKey: x.AlertKey, ecs.EDRRolloutKind: x.Kind, ecs.EDRRolloutVersion: x.Version,
		ecs.EDRContentChannel: x.Channel, ecs.EDRRolloutRing: x.CurrentRing, ecs.EDRRolloutVerdict: string(x.Verdict),
	} {
		setText(e, id, text)
	}
	for id, n := range map[ecs.ID]int{
		ecs.EDRRolloutExposed: x.Exposed, ecs.EDRRolloutAtRisk: x.AtRisk, ecs.EDRRolloutFleet: x.Fleet, ecs.EDRRolloutHarmed: x.Harmed,
	} {
		e.Set(id, event.Int(int64(n)))
	}
	e.Set(ecs.EDRRolloutFirstExposure, event.Time(x.FirstExposure.UnixNano()))
	e.Set(ecs.EDRRolloutLastExposure, event.Time(x.LastExposure.UnixNano()))
	var reasons []string
	for _, reason := range x.Reasons {
		text := reason.What
		if reason.Need != "" {
			text += fmt.Sprintf(" (%s, needed %s)", reason.Have, reason.Need)
		}
		reasons = append(reasons, text)
	}
	if reasons = append(reasons, x.Caveats...); len(reasons) > 0 {
		e.Set(ecs.EDRRolloutReasons, event.StringList(reasons))
	}
	e.SetString(ecs.Message, fmt.Sprintf("%s: %s, %d agents got it, %d failed", x.AlertKey, x.Verdict, x.Exposed, x.Harmed))
	return document(e, event.Gateway)
}
