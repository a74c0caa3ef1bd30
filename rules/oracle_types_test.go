package rules

import (
	"cmp"
	"slices"
	"strings"
)

// see takes an event of the key in.
func (o *oracle) see(e oracleEvent) {
	r := o.r
	if r.typ != "sequence" && r.excepts(&e) {
		return
	}
	switch r.typ {
	case "match":
		if r.hold > 0 {
			if e.hasCPU {
				o.seeReading(e)
			}
			return
		}
		if e.action == r.action {
			o.found(e.now, e.at, 1)
		}
	case "threshold", "value_count":
		if e.action == r.action && (r.typ == "threshold" || o.value(&e) != "") {
			o.see2(e)
		}
	case "metric":
		if e.action == r.action && e.hasCPU {
			o.events = append(o.events, e)
			o.watch.hear(o, e.now)
			if r.kind == "sliding" {
				o.seeMetric(e)
			}
		}
	case "spike":
		if e.action == r.action && r.down {
			o.drop.agent, o.events = e.agent, append(o.events, e)
		} else if e.action == r.action {
			o.seeSpike(e)
		}
	case "anomaly":
		if e.action == r.action && e.hasCPU {
			o.seeNumber(e)
		}
	case "change":
		if e.process != "" {
			o.seeChange(e)
		}
	case "new_terms":
		if e.action == r.action && e.process != "" {
			o.seeTerm(e)
		}
	case "sequence":
		o.seeStep(e)
	}
}

// seeReading takes a reading of a rule with for.
func (o *oracle) seeReading(e oracleEvent) {
	r := o.r
	if n := len(o.run); n > 0 && !o.open && e.now > o.run[n-1].now+max(r.hold, tenMinutes) {
		o.run = nil // Forgotten.
	}
	o.watch.hear(o, e.now)
	switch {
	case e.cpu < r.bound && (len(o.run) == 0 && !o.open || e.at < o.newest):
	case e.cpu < r.bound:
		o.run = nil
		if o.open && e.now >= max(o.last+r.keep, o.began+r.suppress) {
			o.open = false
			o.say(e.now, "resolved")
		}
	default:
		if len(o.run) > 0 && e.at-o.newest > max(r.hold, tenMinutes) {
			o.run = nil
		}
		if len(o.run) == 0 {
			o.newest = max(e.at, never)
		}
		o.run = append(o.run, e)
		o.newest = max(o.newest, e.at)
		o.last = e.now
		switch {
		case o.open:
			o.count++
		case e.at-o.run[0].at >= r.hold:
			o.begin(e.now, o.run[0].at, int64(len(o.run)))
		}
	}
}

// see2 counts events or values.
func (o *oracle) see2(e oracleEvent) {
	r := o.r
	for _, other := range o.events {
		if r.debounce > 0 && max(other.at-e.at, e.at-other.at) < r.debounce {
			return
		}
	}
	o.events = append(o.events, e)
	if r.kind != "sliding" {
		o.seeBucket(e)
		return
	}
	defer func() {
		if o.open {
			o.sustain(e.at)
		}
	}()
	if o.open {
		o.count++
		if r.typ == "value_count" {
			o.count--
			times := o.times(o.events)
			o.count = max(o.count, o.number(o.within(times[len(times)-1])))
		}
		return
	}
	for _, end := range o.times(o.events) {
		if end < e.at || end >= e.at+r.window || end <= o.settled {
			continue
		}
		events := o.within(end)
		n := o.number(events)
		if n < r.low || n > r.high {
			continue
		}
		if r.typ == "threshold" {
			o.begin(e.now, o.times(events)[0], n)
			return
		}
		o.begin(e.now, end, n)
		times := o.times(o.events)
		o.count = max(o.count, o.number(o.within(times[len(times)-1])))
		return
	}
}

// sustain looks until when the windows that hold a new event, and the newest
// one, have enough.
func (o *oracle) sustain(at int64) {
	times := o.times(o.events)
	for i, end := range times {
		if (end < at || end >= at+o.r.window) && i < len(times)-1 {
			continue
		}
		events := o.within(end)
		for _, since := range o.times(events) {
			rest := slices.DeleteFunc(slices.Clone(events), func(e oracleEvent) bool { return e.at < since })
			if o.number(rest) >= o.r.low {
				o.enough = max(o.enough, since)
			}
		}
	}
}

func (o *oracle) seeBucket(e oracleEvent) {
	for _, b := range o.buckets() {
		if e.at < b.start || e.at >= b.close {
			continue
		}
		n := o.number(b.events)
		if o.open && o.r.typ == "threshold" {
			o.count++
		} else if o.open {
			o.count = max(o.count, n)
		}
		if n < o.r.low {
			return
		}
		reported := slices.ContainsFunc(o.marks, func(at int64) bool { return at >= b.start && at < b.close })
		if !reported && (o.open || n <= o.r.high) {
			o.marks = append(o.marks, b.start)
		}
		if o.open {
			o.close = max(o.close, b.close)
		} else if !reported && n <= o.r.high {
			o.close = b.close
			o.begin(e.now, b.start, n)
		}
	}
}

func (o *oracle) seeMetric(e oracleEvent) {
	newest := o.times(o.events)[len(o.events)-1]
	for i, end := range o.times(o.events) {
		if end < e.at || end >= e.at+o.r.window || !o.open && end <= o.settled || i > 0 && o.times(o.events)[i-1] == end {
			continue
		}
		events := o.within(end)
		if v, ok := o.measure(events); !ok || !o.r.reached(v) {
			continue
		}
		if o.open {
			o.count, o.last = max(o.count, int64(len(events))), e.now
		} else {
			o.begin(e.now, end, int64(len(events)))
		}
		return
	}
	if o.open && e.at == newest && !(o.watch.waits(o) && len(o.within(newest)) < o.r.least) && e.now >= max(o.last+o.r.keep, o.began+o.r.suppress) {
		o.open, o.settled = false, newest
		o.say(e.now, "resolved")
	}
}

func (o *oracle) seeSpike(e oracleEvent) {
	r := o.r
	if n := len(o.events); n > 0 { // A key that was not heard for its whole history starts as a new key.
		newest := o.times(o.events)[n-1] / r.window
		if e.now >= (newest+r.history+2)*r.window+r.lateness {
			o.events, o.raised = nil, never
		}
	}
	w := e.at / r.window
	if len(o.events) == 0 {
		o.raised = w - 1
	}
	o.events = append(o.events, e)
	counts := map[int64]int64{}
	first := w
	for _, e := range o.events {
		counts[e.at/r.window]++
		first = min(first, e.at/r.window)
	}
	past, known := int64(0), int64(0)
	for i := max(w-r.history, first+1); i < w; i++ {
		past += counts[i]
		known++
	}
	if w <= o.raised || known < r.minKnown || known == 0 || counts[w] < int64(r.least) || float64(counts[w]) < r.times*float64(past)/float64(known) {
		return
	}
	o.raised = w
	o.found(e.now, w*r.window, counts[w])
}

func (o *oracle) seeChange(e oracleEvent) {
	r := o.r
	if n := len(o.events); n > 0 && e.at < o.events[n-1].at {
		return
	}
	if n := len(o.events); n > 0 && e.at-o.events[n-1].at >= r.window {
		o.events = nil // Forgotten.
	}
	o.events = append(o.events, e)
	var stays []oracleEvent // Where another value begins.
	for _, e := range o.events {
		if n := len(stays); n == 0 || stays[n-1].process != e.process {
			stays = append(stays, e)
		}
	}
	last := len(stays) - 1
	if last == 0 || stays[last].now != e.now || stays[last].at != e.at || len(o.events) > 1 && o.events[len(o.events)-2].process == e.process {
		return
	}
	from, to := stays[last-1].process, e.process
	if r.from != "" && (from != r.from || to != r.to) || r.direction == "up" && to < from || r.direction == "down" && to > from {
		return
	}
	for i := range r.returns { // The latest changes went back, each in time.
		j := last - int(i)
		if j < 2 || stays[j-2].process != stays[j].process || stays[j].at-stays[j-1].at >= r.window {
			return
		}
	}
	o.found(e.now, e.at, 1)
}

func (o *oracle) seeTerm(e oracleEvent) {
	if n := len(o.events); n > 0 && e.now >= o.events[n-1].now+o.r.window+o.r.lateness {
		o.events = nil
	}
	since, known := e.at, false
	for _, old := range o.events {
		since = min(since, old.at)
		known = known || old.process == e.process && e.at-old.at < o.r.window
	}
	o.events = append(o.events, e)
	if !known && e.at-since >= o.r.learn {
		o.found(e.now, e.at, 1)
	}
}

// seeStep tries all chains of events.
func (o *oracle) seeStep(e oracleEvent) {
	r := o.r
	if e.at <= o.used || !slices.ContainsFunc(r.steps, func(s string) bool { return s == e.action && !r.excepts(&e) || s == "!"+e.action }) {
		return
	}
	o.events = append(o.events, e)
	if r.within > 0 {
		return // Time will tell.
	}
	events := slices.DeleteFunc(slices.Clone(o.events), func(e oracleEvent) bool { return e.at <= o.used })
	slices.SortStableFunc(events, func(a, b oracleEvent) int { return cmp.Compare(a.at, b.at) })
	for last := range events {
		start := never
		if r.unordered {
			start = o.together(events[:last+1])
		} else if events[last].action == r.steps[len(r.steps)-1] {
			for first := range last {
				if o.chain(events[first : last+1]) {
					start = max(start, events[first].at)
				}
			}
		}
		if start != never {
			o.used = events[last].at
			o.found(e.now, start, 1)
			return
		}
	}
}

// chain reports whether the first and last event are the ends of the sequence.
func (o *oracle) chain(events []oracleEvent) bool {
	last := len(events) - 1
	if events[last].at-events[0].at > o.r.window || events[0].action != o.r.steps[0] {
		return false
	}
	var follow func(i, step int) bool
	follow = func(i, step int) bool { // Event i is the step before.
		if step == len(o.r.steps) {
			return i == last
		}
		banned, isBan := strings.CutPrefix(o.r.steps[step], "!")
		if isBan {
			step++
		}
		for j := i + 1; j <= last; j++ {
			if events[j].action == o.r.steps[step] && follow(j, step+1) {
				return true
			}
			if isBan && events[j].action == banned {
				return false
			}
		}
		return false
	}
	return follow(0, 1)
}

// together returns when the steps that come in any order and end with the last
// event began: going back from it, each step where it is met first.
func (o *oracle) together(events []oracleEvent) int64 {
	last := events[len(events)-1].at
	missing := slices.Clone(o.r.steps)
	for _, e := range slices.Backward(events) {
		if last-e.at > o.r.window {
			break
		}
		missing = slices.DeleteFunc(missing, func(s string) bool { return s == e.action })
		if len(missing) == 0 {
			return e.at
		}
	}
	return never
}
