package selfreport

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// Fleet tells of every agent once a period. The agents are spread over it: the
// sinks get one part of them after another.
type Fleet struct {
	Periodic
	// Agents returns one of so many parts of the agents.
	Agents func(part, of int) []fleet.Record
}

// fleetParts is the number of parts of a period, fleetBatch of documents that
// are delivered together.
const (
	fleetParts = 60
	fleetBatch = 500
)

// Run tells of the agents until ctx ends. Where sinks are slow, parts are left
// out, to be told of in the next period.
func (f *Fleet) Run(ctx context.Context) {
	step := f.Period / fleetParts
	tick := time.NewTicker(step)
	defer tick.Stop()
	told := f.Now().UnixNano() / int64(step)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := f.Now().UnixNano() / int64(step)
		for told = max(told, now-fleetParts); told < now && ctx.Err() == nil; {
			told++
			f.tell(ctx, told, step)
		}
	}
}

// tell tells of one part; number counts steps since 1970.
func (f *Fleet) tell(ctx context.Context, number int64, step time.Duration) {
	at := time.Unix(0, number*int64(step)).UTC()
	period := strconv.FormatInt(number/fleetParts, 36)
	for records := range slices.Chunk(f.Agents(int(number%fleetParts), fleetParts), fleetBatch) {
		docs := make([]*event.Document, len(records))
		for i := range records {
			docs[i] = f.document(&records[i], at, period)
		}
		if !f.deliver(ctx, docs, max(step, 10*time.Second), "documents about agents were not delivered; they come again in the next period") {
			return
		}
	}
}

// document makes the document about an agent. Its id is that of the agent and
// the period, so that two gateways that both know the agent write it once.
func (f *Fleet) document(r *fleet.Record, at time.Time, period string) *event.Document {
	e := newEvent(f.Dictionary, "inventory", at, "agent-"+strconv.FormatUint(r.Hash(), 16)+"-"+period)
	e.SetString(ecs.EventKind, "state")
	e.SetString(ecs.EventDataset, "edr.agent")
	for id, text := range map[ecs.ID]string{
		ecs.AgentID: r.ID, ecs.AgentType: r.Product, ecs.AgentVersion: r.Version, ecs.HostName: r.Host, ecs.HostID: r.HostID, ecs.HostType: r.HostType,
		ecs.HostOSType: r.OS, ecs.DeviceModelName: r.Model, ecs.EDRState: r.State, ecs.EDRMode: r.Mode, ecs.EDRRolloutRing: r.Ring, ecs.EDRSite: r.Site,
		ecs.EDRPrivilegeAccount: r.Account, ecs.EDRPrivilegeStartType: r.StartType, ecs.EDRFleetPresence: r.Presence,
	} {
		setText(e, id, text)
	}
	if r.Protected != nil {
		e.Set(ecs.EDRPrivilegeProtected, event.Bool(*r.Protected))
	}
	channel, version := latestContent(r.Content)
	setText(e, ecs.EDRContentChannel, channel)
	setText(e, ecs.EDRContentVersion, version)
	e.Set(ecs.EDRFleetBehind, event.Bool(r.Behind))
	e.Set(ecs.EDRFleetLastSeen, event.Time(r.LastSeen.UnixNano()))
	if r.Cadence > 0 {
		e.Set(ecs.EDRFleetCadenceSeconds, event.Float(r.Cadence))
	}
	return document(e, event.Metrics)
}

// latestContent is the one channel of which a document has place: that of the
// greatest name, so that it is always the same.
func latestContent(content map[string]string) (channel, version string) {
	for name, v := range content {
		if version == "" || name > channel {
			channel, version = name, v
		}
	}
	return channel, version
}
