package kinds

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// What a rule does when its data stops, in the words of Kibana's alerting.
const (
	noDataNone    = "none"    // The type's own end of an episode.
	noDataKeep    = "keep"    // An open episode stays open until data says otherwise.
	noDataAlert   = "alert"   // The same, and an alert says that the data has stopped.
	noDataResolve = "resolve" // An open episode ends, whatever else would keep it.
)

// checkNoData checks the key for a type; allowed are its values.
func checkNoData(c *spec.Checker, value string, allowed ...string) {
	if value == "" || slices.Contains(allowed, value) {
		return
	}
	if value == noDataAlert || value == noDataResolve {
		c.Problem("no_data", fmt.Sprintf("no_data: %s needs a rule that measures something: type metric with a sliding window, or match with for", value),
			"for agents that fall silent there is type: silence; here there is "+strings.Join(allowed, " and "))
		return
	}
	c.OneOf("no_data", value, allowed)
}

// checkKeep checks no_data of a rule that counts: its data are the records of
// the agent.
func checkKeep(c *spec.Checker, h *spec.Header, value string) {
	checkNoData(c, value, noDataNone, noDataKeep)
	if value == noDataKeep && h.GroupBy != nil && !slices.Contains(*h.GroupBy, "entity") {
		c.Problem("no_data", "no_data: keep waits for records of the agent, which is no part of group_by", "add entity to group_by")
	}
}

// dataWatch looks whether the data of a rule's keys still comes.
type dataWatch struct {
	rs       *engine.RuleSession
	behavior string
	span     int64 // How long nothing has to come.
	what     string
	stalled  int64 // The feed stood still until then, which says nothing about a key.
}

// dataKey is what it knows of one key.
type dataKey struct {
	heard int64          // Clock of the last data.
	gone  engine.Episode // Of the alert that it has stopped.
}

// step is that of state.
func (w *dataWatch) step(gap int64) int64 {
	if w.behavior == noDataNone || w.behavior == noDataKeep {
		return math.MaxInt64
	}
	if gap > w.span/2 {
		w.stalled = w.rs.Now() + gap
	}
	return w.span / 2
}

// due is when the data has stopped.
func (w *dataWatch) due(k *dataKey) int64 { return max(k.heard, w.stalled) + w.span }

// ends is when something is to do about a key, given when its episode ends by
// itself, or when it is of no use.
func (w *dataWatch) ends(k *dataKey, firing bool, own int64) int64 {
	switch {
	case w.behavior == noDataAlert && !k.gone.Firing(), w.behavior == noDataResolve && firing:
		return w.due(k)
	case w.behavior == noDataAlert, w.behavior == noDataKeep && firing:
		return math.MaxInt64
	}
	return own
}

// waits reports whether too little data ends nothing.
func (w *dataWatch) waits() bool { return w.behavior == noDataKeep || w.behavior == noDataAlert }

// noteData takes note of data.
func (w *dataWatch) noteData(k *dataKey, m *engine.Evaluation, key string, agent *engine.Entity) {
	silent := m.Now - k.heard
	k.heard = m.Now
	if !k.gone.Firing() {
		return
	}
	k.gone.Resolve()
	w.rs.Raise(&k.gone, &engine.Alert{
		At: m.Now, Status: "resolved", Key: key, Entity: agent, Source: m.Event,
		Reason:   fmt.Sprintf("%s: %s comes again after %s", engine.Subject(agent, key), w.what, wording.Duration(silent)),
		Evidence: []engine.Evidence{{Name: "no_data", JSON: "false"}, engine.Text("silent_for", wording.Duration(silent))},
	})
}

// raiseMissing raises an alert when the data has stopped; false when it has not, or
// nobody wants to know.
func (w *dataWatch) raiseMissing(k *dataKey, due int64, key string, agent *engine.Entity) bool {
	if w.behavior != noDataAlert || k.gone.Firing() || w.due(k) > due {
		return false
	}
	k.gone = w.rs.NewEpisode(key, k.heard, "no data")
	k.gone.Count = 1
	w.rs.Raise(&k.gone, &engine.Alert{
		At: due, Status: "firing", Key: key, Entity: agent,
		Reason: fmt.Sprintf("%s: no %s for %s, since %s", engine.Subject(agent, key), w.what, wording.Duration(w.span), wording.TimeText(k.heard)),
		Evidence: []engine.Evidence{
			{Name: "no_data", JSON: "true"}, engine.Text("last_data", wording.TimeText(k.heard)), engine.Text("window", wording.Duration(w.span)),
		},
	})
	return true
}

func (k *dataKey) OpenAlerts(end func(engine.OpenAlert), key string, agent *engine.Entity) {
	if k.gone.Firing() {
		end(engine.OpenAlert{Episode: &k.gone, Key: key, Entity: agent})
	}
}

func (k *dataKey) persist(a *engine.Archive) {
	a.Time(&k.heard)
	k.gone.PersistFiring(a)
	k.gone.Persist(a)
}

func (w *dataWatch) persist(a *engine.Archive) { a.Time(&w.stalled) }
