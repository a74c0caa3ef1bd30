package respond

import (
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// Ask is what a rule wants done about its alerts.
type Ask struct {
	// Action is one of ecs.ResponseActions.
	Action string
	// To names the responders; none means all.
	To []string
	// On are the statuses of alerts: firing, resolved; none means firing, and
	// resolved too for responders that follow alerts to their end.
	On []string
	// MinSeverity is the least severity of an alert; "" is any.
	MinSeverity string
	// Parameters go to the responder as they are.
	Parameters map[string]string
}

// wants reports whether the ask is about an alert; follows is that of the
// responder.
func (a *Ask) wants(alert *Alert, follows bool) bool {
	on := a.On
	if len(on) == 0 {
		on = []string{"firing", "resolved"}
		if !follows {
			on = on[:1]
		}
	}
	return slices.Contains(on, alert.Status) &&
		ecs.SeverityNumber(alert.Severity) >= ecs.SeverityNumber(a.MinSeverity)
}
