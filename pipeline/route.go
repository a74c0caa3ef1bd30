package pipeline

import (
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Route says which documents a sink takes. Conditions that are not set hold;
// those that are set must all hold. The zero Route takes everything.
type Route struct {
	// Streams are data stream families: telemetry, metrics, alerts, gateway.
	Streams []string `yaml:"streams"`
	// Kinds are values of edr.alert.kind; documents that are no alerts pass
	// only where Streams asks for them.
	Kinds []string `yaml:"kinds"`
	// Rules are rule ids that an event matched or an alert was raised by.
	Rules []string `yaml:"rules"`
	// MinSeverity is the lowest edr.alert.severity that passes; it concerns
	// alerts only.
	MinSeverity string `yaml:"min_severity"`
}

// Takes reports whether the sink is to write the document.
func (r *Route) Takes(d *event.Document) bool {
	if len(r.Streams) > 0 && !slices.Contains(r.Streams, d.Stream.String()) {
		return false
	}
	if len(r.Kinds) > 0 && !slices.Contains(r.Kinds, d.AlertKind) {
		return false
	}
	if r.MinSeverity != "" && d.Stream == event.Alerts &&
		ecs.SeverityNumber(d.Severity) < ecs.SeverityNumber(r.MinSeverity) {
		return false
	}
	if len(r.Rules) == 0 {
		return true
	}
	return slices.ContainsFunc(d.Rules, func(id string) bool { return slices.Contains(r.Rules, id) })
}

// Problems lists the values of the route that do not exist.
func (r *Route) Problems() []string {
	var problems []string
	streams := make([]string, 0, 4)
	for _, s := range event.Streams() {
		streams = append(streams, s.String())
	}
	for _, s := range r.Streams {
		if !slices.Contains(streams, s) {
			problems = append(problems, "unknown stream "+s)
		}
	}
	for _, k := range r.Kinds {
		if !slices.Contains(ecs.AlertKinds(), k) {
			problems = append(problems, "unknown alert kind "+k)
		}
	}
	if r.MinSeverity != "" && ecs.SeverityNumber(r.MinSeverity) == 0 {
		problems = append(problems, "unknown severity "+r.MinSeverity)
	}
	return problems
}
