package selfreport

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Status is what a heartbeat says. Counts are since the start.
type Status struct {
	Name, Version                  string
	Records, Documents, Dead, Late int64
	Lag                            *int64   // nil: not known
	Delay                          *float64 // seconds; nil: not known
	Failing                        []string // sinks and sources that do not work now
	Agents                         int64
	Started                        time.Time
}

// Gateway writes about the gateway: its start, a heartbeat every interval, its
// reloads and its end. It is safe for concurrent use.
type Gateway struct {
	Dictionary *ecs.Dictionary
	Interval   time.Duration
	Status     func() Status
	// Publish delivers documents; it may take long.
	Publish func(ctx context.Context, docs []*event.Document) error
	Now     func() time.Time
	Logger  *slog.Logger
	// Sent counts a document by its action and whether it was delivered.
	Sent func(action string, ok bool)
}

// Run writes the start, and then a heartbeat every interval that the gateway lives, until
// ctx ends. A sink that takes nothing holds only the next heartbeat up.
func (g *Gateway) Run(ctx context.Context) {
	g.write(ctx, "gateway-started", "edrwatch started")
	tick := time.NewTicker(g.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.write(ctx, "gateway-heartbeat", "")
		}
	}
}

// Stopped writes the end and why; ctx bounds how long it takes.
func (g *Gateway) Stopped(ctx context.Context, reason string) {
	g.write(ctx, "gateway-stopped", reason)
}

// Reloaded writes that files were read again; an error says that those before
// stay in use.
func (g *Gateway) Reloaded(ctx context.Context, what string, err error) {
	reason := what + " were read again"
	if err != nil {
		reason = fmt.Sprintf("%s not reloaded: %v", what, err)
	}
	g.writeOutcome(ctx, "gateway-reloaded", reason, err)
}

func (g *Gateway) write(ctx context.Context, action, reason string) {
	g.writeOutcome(ctx, action, reason, nil)
}

func (g *Gateway) writeOutcome(ctx context.Context, action, reason string, failed error) {
	doc := g.document(action, reason, failed)
	err := g.Publish(ctx, []*event.Document{doc})
	if err != nil && ctx.Err() == nil {
		g.Logger.Warn("a document about the gateway was not delivered", "action", action, "error", err)
	}
	g.Sent(action, err == nil)
}

func (g *Gateway) document(action, reason string, failed error) *event.Document {
	s, now := g.Status(), g.Now().UTC().Truncate(time.Millisecond)
	e := newEvent(g.Dictionary, action, now, event.HashID(s.Name, strconv.FormatInt(s.Started.UnixNano(), 36), action, strconv.FormatInt(now.UnixMilli(), 36)))
	e.SetString(ecs.EventDataset, "edr.gateway")
	if failed != nil {
		e.SetString(ecs.EventOutcome, "failure")
	}
	setText(e, ecs.EDRGatewayName, s.Name)
	setText(e, ecs.ObserverName, s.Name)
	setText(e, ecs.EDRGatewayVersion, s.Version)
	setText(e, ecs.EDRGatewayReason, reason)
	for id, n := range map[ecs.ID]int64{
		ecs.EDRGatewayRecords: s.Records, ecs.EDRGatewayDocuments: s.Documents, ecs.EDRGatewayDead: s.Dead, ecs.EDRGatewayLate: s.Late,
		ecs.EDRGatewayAgents: s.Agents, ecs.EDRGatewayUptime: int64(now.Sub(s.Started) / time.Second),
	} {
		e.Set(id, event.Int(n))
	}
	if s.Lag != nil {
		e.Set(ecs.EDRGatewayLag, event.Int(*s.Lag))
	}
	if s.Delay != nil {
		e.Set(ecs.EDRGatewayDelaySeconds, event.Float(*s.Delay))
	}
	if len(s.Failing) > 0 {
		e.Set(ecs.EDRGatewayFailing, event.StringList(s.Failing))
	}
	message := fmt.Sprintf("edrwatch %s: %d records, %d documents, %d dead letters", s.Name, s.Records, s.Documents, s.Dead)
	if reason != "" {
		message = fmt.Sprintf("edrwatch %s: %s", s.Name, reason)
	}
	e.SetString(ecs.Message, message)
	return document(e, event.Gateway)
}

// newEvent begins a document with what the vocabulary says about its action.
func newEvent(dict *ecs.Dictionary, action string, at time.Time, id string) *event.Event {
	e := event.New(dict)
	e.Set(ecs.Timestamp, event.Time(at.UnixNano()))
	e.SetString(ecs.EcsVersion, ecs.Version)
	e.SetString(ecs.EventID, id)
	e.SetString(ecs.EventAction, action)
	e.SetString(ecs.EventModule, "edrwatch")
	for _, a := range ecs.Actions() {
		if a.Name != action {
			continue
		}
		e.SetString(ecs.EventKind, a.Kind)
		e.Set(ecs.EventCategory, event.StringList(a.Category))
		e.Set(ecs.EventType, event.StringList(a.Type))
		setText(e, ecs.EventOutcome, a.Outcome)
	}
	return e
}

func setText(e *event.Event, id ecs.ID, text string) {
	if text != "" {
		e.SetString(id, text)
	}
}

func document(e *event.Event, stream event.Stream) *event.Document {
	host, agent := e.Str(ecs.HostName), e.Str(ecs.AgentID)
	if host == "" {
		host = agent
	}
	return &event.Document{
		ID: e.Str(ecs.EventID), Stream: stream, Time: e.Timestamp(), Body: e.AppendJSON(nil), Action: e.Str(ecs.EventAction), Host: host, AgentID: agent,
	}
}
