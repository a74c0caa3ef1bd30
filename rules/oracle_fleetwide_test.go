package rules

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// A rule about the whole fleet sees the events of ten seconds together when
// these are over, in the order of their times.

const stepNS = 10 * secondNS

// wide reports whether the rule is judged so.
func (r *oracleRule) wide() bool {
	if r.groupBy == nil || r.typ == "silence" || r.noData != "" && r.noData != "none" || r.rollup != nil || r.down || r.hostUp {
		return false
	}
	return !slices.Contains(r.groupBy, "entity") && !slices.Contains(r.groupBy, "agent.id")
}

// stepped are the events as such a rule sees them: those of steps that are over
// at the end.
func (r *oracleRule) stepped(events []oracleEvent, end int64) []oracleEvent {
	var list []oracleEvent
	for _, e := range events {
		e.at = min(e.at, e.now)
		step := e.now - e.now%stepNS + stepNS
		late := e.at < e.now-r.lateness && (r.typ != "match" || r.hold > 0)
		if step <= end && !late {
			e.now = step
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, func(a, b oracleEvent) int {
		return cmp.Or(cmp.Compare(a.now, b.now), cmp.Compare(a.at, b.at), strings.Compare(a.agent, b.agent), cmp.Compare(r.slot(&a), r.slot(&b)),
			strings.Compare(r.counts(&a), r.counts(&b)), slices.Compare(r.content(&a), r.content(&b)))
	})
	return list
}

// slot is the condition of a sequence that an event satisfies.
func (r *oracleRule) slot(e *oracleEvent) int {
	return slices.IndexFunc(r.steps, func(s string) bool { return strings.TrimPrefix(s, "!") == e.action })
}

// counts is what the rule counts of an event.
func (r *oracleRule) counts(e *oracleEvent) string {
	if r.typ != "value_count" {
		return ""
	}
	key, _ := r.key(e)
	return key + "\x00" + map[bool]string{true: e.agent, false: e.process}[r.field == "entity"]
}

// content is what else tells events apart.
func (r *oracleRule) content(e *oracleEvent) []string {
	var list []string
	add := func(name, value string, said bool) {
		if said {
			list = append(list, name, value)
		}
	}
	add("agent.id", e.agent, e.agent != "")
	add("agent.type", e.typ, e.typ != "")
	add("event.action", e.action, r.hold == 0 && r.typ != "change")
	add("process.name", e.process, e.process != "" && (r.field == "process.name" || slices.Contains(r.groupBy, "process.name?") || r.typ == "change" || r.typ == "new_terms"))
	add("edr.resource.cpu_pct", fmt.Sprintf("%016x", math.Float64bits(e.cpu)), e.hasCPU && (r.hold > 0 || r.typ == "metric" || r.typ == "anomaly"))
	return list
}

// closings are the ends of the steps of a feed: after five minutes without a
// record of the present a gap of more than a quarter of an hour is passed over.
func closings(events []oracleEvent, end int64) (list []int64) {
	next, empty, present := int64(0), 0, false
	reach := func(now int64) {
		for next != 0 && next <= now {
			list = append(list, next)
			next += stepNS
			if empty++; present {
				empty = 0
			}
			present = false
			if now-next > 15*60*secondNS && empty > 30 {
				next = max(next, now-now%stepNS)
			}
		}
	}
	for _, e := range events {
		reach(e.now)
		if next == 0 {
			next = e.now - e.now%stepNS + stepNS
		}
		present = present || e.at >= e.now-tenMinutes
	}
	reach(end)
	return list
}
