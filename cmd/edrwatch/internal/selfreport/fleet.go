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

// Fleet tells of every agent once a period, and within seconds of one that
// changed. The agents are spread over the period: the sinks get one part of them
// after another.
type Fleet struct {
	Periodic
	// Agents returns one of so many parts of the agents.
	Agents func(part, of int) []fleet.Record
	// Changed returns the agents that are not as they were told of last, and most
	// at most of those that were never told of.
	Changed func(most int) []fleet.Record

	owed []fleet.Record // changes that no sink took yet
}

// fleetParts is the number of parts of a period, fleetBatch of documents that
// are delivered together.
const (
	fleetParts = 60
	fleetBatch = 500
)

// changesEvery is how often it is looked for changes: a step of the fleet's judge
// is as long. mostNew bounds the agents that are new at once, so that all of a
// large fleet, after a start, take about as long as a period of an hour; mostOwed
// the changes that wait for a sink, beyond which they come with the period.
const (
	changesEvery = 10 * time.Second
	mostNew      = 3000
	mostOwed     = 20_000
)

// Run tells of the agents until ctx ends. Where sinks are slow, parts are left
// out, to be told of in the next period.
func (f *Fleet) Run(ctx context.Context) {
	step := f.Period / fleetParts
	tick, changes := time.NewTicker(step), time.NewTicker(changesEvery)
	defer tick.Stop()
	defer changes.Stop()
	told := f.Now().UnixNano() / int64(step)
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes.C:
			f.tellChanges(ctx)
			continue
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
			docs[i] = f.document(&records[i], at, period, "info")
			docs[i].Latest.Version = f.Now().UnixNano() // Above that of a change that was told within the minute.
		}
		if !f.deliver(ctx, docs, max(step, 10*time.Second), "documents about agents were not delivered; they come again in the next period") {
			return
		}
	}
}

// tellChanges tells of the agents that changed. What is not delivered is owed: it
// comes again, before what changed since.
func (f *Fleet) tellChanges(ctx context.Context) {
	at := f.Now().UTC()
	records := append(f.owed, f.Changed(mostNew)...)
	f.owed = nil
	for len(records) > 0 {
		n := min(len(records), fleetBatch)
		docs := make([]*event.Document, n)
		for i := range docs {
			docs[i] = f.document(&records[i], at, "at-"+strconv.FormatInt(at.UnixMilli(), 36), "change")
		}
		if !f.deliver(ctx, docs, changesEvery, "documents about agents that changed were not delivered; they come again") {
			break
		}
		records = records[n:]
	}
	if excess := len(records) - mostOwed; excess > 0 {
		f.Logger.Warn("changes of agents wait for a sink; the oldest are left to the next period", "agents", excess)
		records = records[excess:]
	}
	f.owed = records
}

// document makes the document about an agent. Its id is that of the agent and
// the period, so that two gateways that both know the agent write it once.
func (f *Fleet) document(r *fleet.Record, at time.Time, period, why string) *event.Document {
	e := newEvent(f.Dictionary, "inventory", at, "agent-"+r.Entity+"-"+period)
	e.SetString(ecs.EventKind, "state")
	e.Set(ecs.EventType, event.StringList([]string{why}))
	e.SetString(ecs.EventDataset, "edr.agent")
	for id, text := range map[ecs.ID]string{
		ecs.EDREntityID: r.Entity, ecs.AgentID: r.ID, ecs.AgentType: r.Product, ecs.AgentVersion: r.Version, ecs.HostName: r.Host, ecs.HostID: r.HostID,
		ecs.HostType: r.HostType, ecs.HostOSType: r.OS, ecs.DeviceModelName: r.Model, ecs.EDRPresence: r.Presence, ecs.EDRState: r.State, ecs.EDRMode: r.Mode,
		ecs.EDRRolloutRing: r.Ring, ecs.EDRSite: r.Site, ecs.EDRAssetOwner: r.Owner,
		ecs.EDRPrivilegeAccount: r.Account, ecs.EDRPrivilegeStartType: r.StartType,
	} {
		setText(e, id, text)
	}
	if r.Protected != nil {
		e.Set(ecs.EDRPrivilegeProtected, event.Bool(*r.Protected))
	}
	setContent(e, r)
	e.Set(ecs.EDRFleetStateLastKnown, event.Bool(r.StateLastKnown))
	if r.Since != nil {
		e.Set(ecs.EDRFleetSince, event.Time(r.Since.UnixNano()))
	}
	e.Set(ecs.EDRFleetBehind, event.Bool(r.Behind))
	e.Set(ecs.EDRFleetLastSeen, event.Time(r.LastSeen.UnixNano()))
	if r.Cadence > 0 {
		e.Set(ecs.EDRFleetCadenceSeconds, event.Float(r.Cadence))
	}
	d := document(e, event.Metrics)
	d.Latest = event.Latest{ID: r.Entity, Version: at.UnixNano()}
	return d
}

// setContent sets what the agent received last, and every channel that it has.
func setContent(e *event.Event, r *fleet.Record) {
	if last := r.LastContent; last != nil {
		setText(e, ecs.EDRContentChannel, last.Channel)
		setText(e, ecs.EDRContentVersion, last.Version)
		if last.Received != nil {
			e.Set(ecs.EDRContentReceived, event.Time(last.Received.UnixNano()))
		}
	}
	var channels []string
	for name, version := range r.Content {
		if name != "" {
			channels = append(channels, name+":"+version)
		}
	}
	if slices.Sort(channels); len(channels) > 0 {
		e.Set(ecs.EDRContentChannels, event.StringList(channels))
	}
}
