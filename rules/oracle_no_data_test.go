package rules

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// noDataWatch is what an oracle knows of the data of one key.
type noDataWatch struct {
	last    int64 // The clock.
	heard   int64 // Clock of the last data, 0 for none.
	resumed int64 // Clock at the end of the last long gap of the feed.
	agent   int64 // Clock of the last record of any kind from the key's agent.
	next    int64 // When it is looked at again.
	gone    bool
	since   int64 // Of the data's absence.
}

// span is how long nothing has to come.
func (w *noDataWatch) span(r *oracleRule) int64 {
	if r.typ == "match" {
		return max(r.hold, tenMinutes)
	}
	return r.window
}

// measures reports whether the rule is of those that no_data decides about.
func (w *noDataWatch) measures(r *oracleRule) bool {
	return r.typ == "metric" && r.kind == "sliding" || r.typ == "match" && r.hold > 0
}

// decides reports whether an open episode does not end as that of its type.
func (w *noDataWatch) decides(o *oracle) bool {
	return w.measures(o.r) && (o.r.noData == "keep" || o.r.noData == "alert" || o.r.noData == "resolve")
}

// waits reports whether too few events end nothing.
func (w *noDataWatch) waits(o *oracle) bool { return o.r.noData == "keep" || o.r.noData == "alert" }

func (w *noDataWatch) due(r *oracleRule) int64 { return max(w.heard, w.resumed) + w.span(r) }

// end ends an episode because data is missing.
func (w *noDataWatch) end(o *oracle, now int64) {
	if due := w.due(o.r); o.r.noData == "resolve" && due <= now {
		o.open, o.settled, o.run = false, due-1, nil
		o.say(due, "resolved")
	}
}

// clock lets time go on, in which the data may be missed.
func (w *noDataWatch) clock(o *oracle, now int64) {
	if w.last != 0 && now-w.last > w.span(o.r)/2 {
		w.resumed = now
	}
	w.last = now
	if o.r.noData != "alert" || w.heard == 0 || w.gone || w.due(o.r) > now {
		return
	}
	w.gone, w.since, o.run = true, w.heard, nil
	o.alerts = append(o.alerts, oracleAlert{at: w.due(o.r), status: "firing", key: o.key, start: w.since, count: 1})
}

// hear takes note of data.
func (w *noDataWatch) hear(o *oracle, now int64) {
	w.heard = now
	if w.gone {
		w.gone = false
		o.alerts = append(o.alerts, oracleAlert{at: now, status: "resolved", key: o.key, start: w.since, count: 1})
	}
}

// agentHeard takes note of any record; a key begins with the agent's id where
// that matters.
func (w *noDataWatch) agentHeard(e *oracleEvent, key string) {
	if agent, _, _ := strings.Cut(key, " | "); e.agent != "" && agent == e.agent {
		w.agent = e.now
	}
}

// look is when an episode of a rule that counts ends, given when it would
// without no_data: when the agent was heard in the latter half of a window. It
// is later than now where it has not come to that.
func (w *noDataWatch) look(o *oracle, due, now int64) int64 {
	if w.measures(o.r) || o.r.noData != "keep" {
		return due
	}
	for {
		at := max(due, w.next)
		if at > now || at-w.agent < o.r.window/2 {
			return at
		}
		w.next = at + o.r.window
	}
}

// drawNoData draws rules with no_data, and streams in which agents stop.
func drawNoData(r *rand.Rand, n int) (*oracleRule, []oracleEvent) {
	x := randomRule(r)
	for x.typ != "metric" && x.typ != "threshold" && x.typ != "value_count" && (x.typ != "match" || x.hold == 0) || x.kind != "sliding" && x.typ == "metric" {
		x = randomRule(r)
	}
	if x.typ == "metric" || x.typ == "match" {
		x.noData = pick(r, "keep", "resolve", "alert", "alert")
	} else {
		x.noData, x.groupBy = "keep", pick(r, nil, []string{"entity", "process.name?"})
		if x.field == "entity" {
			x.field = "process.name"
		}
	}
	events := randomStream(r, x, n)
	for i := range events { // An agent that stops, in the middle.
		if i > n/3 && i < 2*n/3 && events[i].agent == "a1" {
			events[i].agent = "a2"
		}
	}
	return x, events
}

func TestNoDataAgainstOracle(t *testing.T) {
	dict := dictionary(t)
	total := 0
	for i := range uint64(300) {
		_, n := againstOracle(t, dict, drawNoData, 3, i, 60)
		total += n
	}
	if total < 300 {
		t.Errorf("only %d alerts, the test shows little", total)
	}
}

// FuzzNoDataAgainstOracle draws rules with no_data and streams from seeds.
func FuzzNoDataAgainstOracle(f *testing.F) {
	dict := dictionary(f)
	f.Add(uint64(1), uint64(2), uint8(60))
	f.Fuzz(func(t *testing.T, a, b uint64, n uint8) { againstOracle(t, dict, drawNoData, a, b, int(n)+1) })
}
