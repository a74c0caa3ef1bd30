package rules

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// awayWatch is what an oracle knows for a last step that must not come.
type awayWatch struct {
	last    int64 // The clock.
	resumed int64 // Clock at the end of the last gap of the feed that proves nothing.
}

// stayedAway raises the sequences whose last step has not come by a time.
func (o *oracle) stayedAway(now int64) {
	w, r := &o.away, o.r
	before := w.last
	if before != 0 && now-before > r.within/2 {
		w.resumed = now
	}
	w.last = now
	for {
		events := slices.DeleteFunc(slices.Clone(o.events), func(e oracleEvent) bool { return e.at <= o.used })
		slices.SortStableFunc(events, func(a, b oracleEvent) int { return cmp.Compare(a.at, b.at) })
		last, start := -1, never
		for i := range events {
			if start = o.begins(events[:i+1]); start != never && events[i].at >= w.resumed && !o.breaks(events[i+1:], events[i].at+r.within) {
				last = i
				break
			}
		}
		if last < 0 {
			return
		}
		due := max(events[last].at+r.within+r.grace, before+1) // What has come late was over before.
		if due > now {
			return
		}
		o.end(due)
		o.used = events[last].at + r.within
		o.found(due, start, 1)
	}
}

// begins is the latest begin of a chain of the steps that have to come, which
// ends with the last event.
func (o *oracle) begins(events []oracleEvent) int64 {
	whole := o.r.steps
	defer func() { o.r.steps = whole }()
	o.r.steps = whole[:len(whole)-1]
	start, last := never, len(events)-1
	if events[last].action != o.r.steps[len(o.r.steps)-1] || o.r.excepts(&events[last]) {
		return never
	}
	if len(o.r.steps) == 1 {
		return events[last].at
	}
	for first := range last {
		if o.chain(events[first:]) {
			start = max(start, events[first].at)
		}
	}
	return start
}

// breaks reports whether the step that must not come did until a time.
func (o *oracle) breaks(after []oracleEvent, until int64) bool {
	return slices.ContainsFunc(after, func(e oracleEvent) bool { return "!"+e.action == o.r.steps[len(o.r.steps)-1] && e.at <= until })
}

// drawAbsence draws a sequence that ends with a step that must not come, and a
// stream of which much arrives late, at once.
func drawAbsence(r *rand.Rand, n int) (*oracleRule, []oracleEvent) {
	x := randomRule(r)
	for x.typ != "sequence" || x.unordered {
		x = randomRule(r)
	}
	if r.IntN(3) == 0 {
		x.steps = x.steps[:1]
	}
	x.steps = append(x.steps, "!inventory")
	x.within, x.grace = int64(1+r.IntN(20))*30*secondNS, int64(r.IntN(3))*60*secondNS
	events := randomStream(r, x, 2*n)
	now, delay := start, int64(0)
	for i := range events {
		e := &events[i]
		if r.IntN(10) == 0 {
			delay = r.Int64N(x.lateness/secondNS+60) * secondNS * int64(r.IntN(2))
		}
		if r.IntN(3) > 0 {
			now += int64(r.IntN(40)) * secondNS
		}
		if r.IntN(50) == 0 {
			now += int64(r.IntN(600)) * secondNS
		}
		e.now, e.at = now, now-delay
		if r.IntN(3) == 0 {
			e.at -= int64(r.IntN(100)) * secondNS
		}
		if e.action == "inventory" && r.IntN(2) == 0 {
			e.action = "error"
		}
	}
	return x, events
}

func TestAbsenceAgainstOracle(t *testing.T) {
	dict := dictionary(t)
	total := 0
	for i := range uint64(150) {
		_, n := againstOracle(t, dict, drawAbsence, 7, i, 60)
		total += n
	}
	if total < 150 {
		t.Errorf("only %d alerts, the test shows little", total)
	}
}

// FuzzAbsenceAgainstOracle draws such rules and streams from seeds.
func FuzzAbsenceAgainstOracle(f *testing.F) {
	dict := dictionary(f)
	f.Add(uint64(1), uint64(2), uint8(60))
	f.Fuzz(func(t *testing.T, a, b uint64, n uint8) { againstOracle(t, dict, drawAbsence, a, b, int(n)+1) })
}
