package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// What becomes of a rule whose data stops, in the words of Kibana's alerting.
const (
	noDataNone    = "none"    // The type's own end of an episode.
	noDataKeep    = "keep"    // An open episode stays open until data says otherwise.
	noDataAlert   = "alert"   // The same, and an alert says that the data has stopped.
	noDataResolve = "resolve" // An open episode ends, whatever else would keep it.
)

// checkNoData checks the key for a type; allowed are its values.
func checkNoData(c *checker, value string, allowed ...string) {
	if value == "" || slices.Contains(allowed, value) {
		return
	}
	if value == noDataAlert || value == noDataResolve {
		c.problem("no_data", fmt.Sprintf("no_data: %s needs a rule that measures something: type metric with a sliding window, or match with for", value),
			"for agents that fall silent there is type: silence; here there is "+strings.Join(allowed, " and "))
		return
	}
	c.oneOf("no_data", value, allowed)
}

// checkKeep checks no_data of a rule that counts: its data are the records of
// the agent.
func checkKeep(c *checker, h *Header, value string) {
	checkNoData(c, value, noDataNone, noDataKeep)
	if value == noDataKeep && h.GroupBy != nil && !slices.Contains(*h.GroupBy, "entity") {
		c.problem("no_data", "no_data: keep waits for records of the agent, which is no part of group_by", "add entity to group_by")
	}
}

// dataWatch looks whether the data of a rule's keys still comes.
type dataWatch struct {
	rs       *RuleSession
	behavior string
	span     int64 // How long nothing has to come.
	what     string
	stalled  int64 // The feed stood still until then, which says nothing about a key.
}

// dataKey is what it knows of one key.
type dataKey struct {
	heard   int64 // Clock of the last data.
	missing bool  // An alert says so.
	gone    episode
}

// step is that of state.
func (w *dataWatch) step(gap int64) int64 {
	if w.behavior == noDataNone || w.behavior == noDataKeep {
		return math.MaxInt64
	}
	if gap > w.span/2 {
		w.stalled = w.rs.now() + gap
	}
	return w.span / 2
}

// due is when the data has stopped.
func (w *dataWatch) due(k *dataKey) int64 { return max(k.heard, w.stalled) + w.span }

// ends is when something is to do about a key, given when its episode ends by
// itself, or when it is of no use.
func (w *dataWatch) ends(k *dataKey, firing bool, own int64) int64 {
	switch {
	case w.behavior == noDataAlert && !k.missing, w.behavior == noDataResolve && firing:
		return w.due(k)
	case w.behavior == noDataAlert, w.behavior == noDataKeep && firing:
		return math.MaxInt64
	}
	return own
}

// waits reports whether too little data ends nothing.
func (w *dataWatch) waits() bool { return w.behavior == noDataKeep || w.behavior == noDataAlert }

// hear takes note of data.
func (w *dataWatch) hear(k *dataKey, m *moment, key string, agent *entity) {
	silent := m.now - k.heard
	k.heard = m.now
	if !k.missing {
		return
	}
	k.missing = false
	w.rs.raise(&k.gone, &alert{
		at: m.now, status: "resolved", key: key, entity: agent, source: m.e,
		reason:   fmt.Sprintf("%s: %s comes again after %s", subject(agent, key), w.what, duration(silent)),
		evidence: []pair{{"no_data", "false"}, text("silent_for", duration(silent))},
	})
}

// miss raises an alert when the data has stopped; false when it has not, or
// nobody wants to know.
func (w *dataWatch) miss(k *dataKey, due int64, key string, agent *entity) bool {
	if w.behavior != noDataAlert || k.missing || w.due(k) > due {
		return false
	}
	k.missing = true
	k.gone = w.rs.newEpisode(key, k.heard, "no data")
	k.gone.count = 1
	w.rs.raise(&k.gone, &alert{
		at: due, status: "firing", key: key, entity: agent,
		reason: fmt.Sprintf("%s: no %s for %s, since %s", subject(agent, key), w.what, duration(w.span), timeText(k.heard)),
		evidence: []pair{
			{"no_data", "true"}, text("last_data", timeText(k.heard)), text("window", duration(w.span)),
		},
	})
	return true
}
