package selfreport

import (
	"fmt"
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// FeedProblem is one thing that is wrong with the canary of a feed, or over.
type FeedProblem struct {
	Gateway string // its name
	Feed    string // topic
	// Mute tells a silence that no rule noticed from a heartbeat that was not heard.
	Mute       bool
	Since, Now time.Time
	Reason     string
	Over       bool
}

// The alerts about canaries are no rule's of the library; these ids stay.
const (
	deafRule = "0f2d6c1e-7b0a-4c55-9d8e-6a1f3b7c9001"
	muteRule = "0f2d6c1e-7b0a-4c55-9d8e-6a1f3b7c9002"
)

// CanaryAlert is the alert about the canary of a feed: silence in the feed
// would not be noticed now.
func CanaryAlert(dict *ecs.Dictionary, p FeedProblem) *event.Document {
	rule, name := deafRule, "Canary of a feed is not heard"
	if p.Mute {
		rule, name = muteRule, "No rule notices the silence of a feed's canary"
	}
	const version, severity = "1", "high"
	status := "firing"
	if p.Over {
		status = "resolved"
	}
	id := event.HashID(rule, version, p.Feed, strconv.FormatInt(p.Since.UnixNano(), 10))
	e := newEvent(dict, "alert", p.Now, event.HashID(id, status))
	e.SetString(ecs.EventDataset, "edr.alerts")
	e.Set(ecs.EventSeverity, event.Int(ecs.SeverityNumber(severity)))
	e.Set(ecs.EventRiskScore, event.Float(73))
	e.Set(ecs.EventStart, event.Time(p.Since.UnixNano()))
	e.Set(ecs.EventEnd, event.Time(p.Now.UnixNano()))
	e.Set(ecs.EDRAlertCount, event.Int(1))
	for field, text := range map[ecs.ID]string{
		ecs.RuleID: rule, ecs.RuleName: name, ecs.RuleVersion: version, ecs.RuleCategory: "pipeline_silence",
		ecs.EDRAlertID: id, ecs.EDRAlertKind: "pipeline_silence", ecs.EDRAlertSeverity: severity, ecs.EDRAlertStatus: status, ecs.EDRAlertScope: "pipeline",
		ecs.EDRAlertKey: p.Feed, ecs.EDRAlertReason: p.Reason, ecs.EDRGatewayName: p.Gateway, ecs.EDRGatewayReason: p.Reason,
		ecs.Message: name + ": " + p.Reason,
	} {
		e.SetString(field, text)
	}
	e.Set(ecs.EDRAlertEvidence, event.JSON(fmt.Sprintf(`{"type":"canary","feed":%s,"gateway":%s}`, event.AppendString(nil, p.Feed), event.AppendString(nil, p.Gateway))))
	d := document(e, event.Alerts)
	d.Severity, d.AlertKind, d.Rules = severity, "pipeline_silence", []string{rule}
	d.Latest = event.Latest{ID: id, Version: event.AlertVersion(status, p.Now.UnixNano(), 1)}
	return d
}
