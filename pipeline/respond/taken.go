package respond

import (
	"fmt"
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Outcome is the result of an attempt to act.
type Outcome string

// The outcomes of an attempt.
const (
	Sent       Outcome = "sent"       // the receiver has it
	DryRun     Outcome = "dry_run"    // responses are not enabled
	Failed     Outcome = "failed"     // it is tried again
	Refused    Outcome = "refused"    // another attempt is of no use
	GivenUp    Outcome = "given_up"   // the responder has failed for too long
	Suppressed Outcome = "suppressed" // over the limit of the hour
)

func outcomes() []Outcome { return []Outcome{Sent, DryRun, Failed, GivenUp, Refused, Suppressed} }

// Taken is one attempt to act.
type Taken struct {
	Act     *Act
	At      time.Time
	Attempt int // from 1; 0 where none was made
	Status  int // of HTTP; 0 without
	DryRun  bool
	Outcome Outcome
	Err     error
}

// Reporter makes the documents about acts.
type Reporter struct {
	Dictionary *ecs.Dictionary
	// Playback dates them by the alert instead of the clock.
	Playback bool
}

// Document returns the document (event.action: response-taken) about an attempt.
func (w Reporter) Document(t *Taken) *event.Document {
	e, a := event.New(w.Dictionary), t.Act
	id := event.HashID(a.ID, strconv.Itoa(t.Attempt), string(t.Outcome))
	at := t.At
	if w.Playback {
		at = a.Requested
	}
	e.Set(ecs.Timestamp, event.Time(at.UTC().Truncate(time.Millisecond).UnixNano()))
	e.SetString(ecs.EcsVersion, ecs.Version)
	e.SetString(ecs.EventID, id)
	e.SetString(ecs.EventKind, "event")
	e.Set(ecs.EventCategory, event.StringList([]string{"configuration"}))
	e.Set(ecs.EventType, event.StringList([]string{"info"}))
	e.SetString(ecs.EventAction, "response-taken")
	outcome := map[Outcome]string{Sent: "success", Failed: "failure", GivenUp: "failure", Refused: "failure"}[t.Outcome]
	if outcome == "" {
		outcome = "unknown"
	}
	e.SetString(ecs.EventOutcome, outcome)
	e.SetString(ecs.EventModule, "edrwatch")
	e.SetString(ecs.EventDataset, "edr.gateway")
	e.SetString(ecs.EDRResponseID, a.ID)
	e.SetString(ecs.EDRResponseAction, a.Action)
	e.SetString(ecs.EDRResponseResponder, a.Responder)
	e.SetString(ecs.EDRResponseStatus, string(t.Outcome))
	e.Set(ecs.EDRResponseDryRun, event.Bool(t.DryRun))
	e.Set(ecs.EDRResponseAttempt, event.Int(int64(t.Attempt)))
	if t.Status > 0 {
		e.Set(ecs.HTTPResponseStatusCode, event.Int(int64(t.Status)))
	}
	if t.Err != nil {
		e.SetString(ecs.ErrorMessage, t.Err.Error())
	}
	e.SetString(ecs.EDRAlertID, a.Alert.ID)
	e.SetString(ecs.EDRAlertKind, a.Alert.Kind)
	e.SetString(ecs.EDRAlertStatus, a.Alert.Status)
	e.SetString(ecs.RuleID, a.Rule.ID)
	e.SetString(ecs.RuleName, a.Rule.Name)
	for id, value := range map[ecs.ID]string{
		ecs.AgentType: a.Subject.Product, ecs.AgentVersion: a.Subject.SensorVersion,
		ecs.EDRContentVersion: a.Subject.ContentVersion, ecs.EDRContentChannel: a.Subject.ContentChannel,
	} {
		if value != "" {
			e.SetString(id, value)
		}
	}
	e.SetString(ecs.Message, fmt.Sprintf("%s asked of %s (%s): %s", a.Action, a.Responder, t.Outcome, a.Alert.Reason))
	return &event.Document{
		ID: id, Stream: event.Gateway, Time: e.Timestamp(), Body: e.AppendJSON(nil), Action: "response-taken",
	}
}
