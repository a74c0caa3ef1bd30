package ruletest

import (
	"fmt"
	"strings"

	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// maxTold is how many alerts of a failed test are listed.
const maxTold = 5

// happened tells what a failed test has seen: its alerts, or how far its events
// came.
func happened(start int64, got []Raised, before, after *engine.Counters, events int) []string {
	var list []string
	for i, r := range got {
		if i == maxTold {
			list = append(list, fmt.Sprintf("there were %d alerts more", len(got)-maxTold))
			break
		}
		list = append(list, fmt.Sprintf("there was at %s %s: %s", spec.Offset(r.at-start), r.status, r.reason))
	}
	if len(got) > 0 {
		return list
	}
	seen := fmt.Sprintf("there was no alert: of %s the condition was true of %d", wording.Plural(int64(events), "event"), after.Matches-before.Matches)
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{after.Absent - before.Absent, "unknown of %d, because a field is missing"},
		{after.Late - before.Late, "%d came too late"},
		{after.NoKey - before.NoKey, "%d had no field of group_by"},
		{after.Excepted - before.Excepted, "%d were taken out by an exception"},
		{after.Shadowed - before.Shadowed, "%d documents were held back by stage: shadow"},
	} {
		if c.n > 0 {
			seen += ", " + fmt.Sprintf(c.what, c.n)
		}
	}
	if after.Matches == before.Matches {
		seen += "; rules test --coverage --output json shows which of its parts were not, explain does so for a record"
	}
	return append(list, seen)
}

// judge compares an expectation with what was raised; short: alerts are
// missing.
func judgeExpectation(x *spec.Expectation, number int, start, lag int64, got []Raised) (failure string, short bool) {
	limit := start + int64(x.When()) + lag
	seen := map[string]string{} // Episode → last status.
	for _, r := range got {
		if r.at > limit {
			continue
		}
		if x.Status == "resolved" && r.status != "resolved" {
			continue
		}
		if x.Status != "resolved" && r.status == "resolved" {
			if _, ok := seen[r.id]; ok {
				seen[r.id] = r.status
			}
			continue
		}
		if r.meets[number] {
			seen[r.id] = r.status
		}
	}
	found, word := len(seen), "by"
	if x.At != nil {
		found, word = 0, "at"
		for _, status := range seen {
			if status == "firing" {
				found++
			}
		}
	}
	if found == x.Alerts {
		return "", false
	}
	where := ""
	if x.Where.Value != "" {
		where = " where " + x.Where.Value
	}
	return fmt.Sprintf("expected %s %s %s%s, found %d", wording.Plural(int64(x.Alerts), strings.TrimSpace(x.Status+" alert")), word, x.When(), where, found), found < x.Alerts
}
