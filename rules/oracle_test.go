package rules

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// An oracle says what alerts a rule raises, in the slow and obvious way that
// README.md describes: it keeps the whole history of every key, looks through
// all of it again with every event, and shares no code with the engine.

// oracleEvent is an event as an oracle sees it. Empty texts are missing fields.
type oracleEvent struct {
	now, at    int64
	agent, typ string
	action     string
	process    string
	cpu        float64
	hasCPU     bool
	hostType   string
	feed       string
}

// oracleRule is a rule as an oracle sees it.
type oracleRule struct {
	number            int    // In its set, from 0.
	typ               string // Of the rule.
	kind              string // window_kind.
	window, gap       int64
	lateness          int64
	keep, suppress    int64
	debounce          int64
	hold              int64 // for
	low, high         int64 // having
	having            string
	action            string
	groupBy           []string // nil: the agent.
	field             string   // process.name or entity.
	function          string
	bound             float64 // What a metric is compared with as compare says, or the condition of for.
	compare           string  // gte, gt, lte, lt, or between: from half of bound up to it.
	least             int
	history, minKnown int64
	times             float64
	from, to          string // Of a change; empty: any.
	direction         string
	returns           int64
	learn             int64
	steps             []string // Actions; one with a ! must not come.
	unordered         bool
	within, grace     int64 // Of a last step that must not come.
	except            bool  // What p4 does.
	noData            string
	down, hostUp      bool
	anomaly           anomalySpec
	rollup            *rollupSpec // nil without.
	silence           silenceSpec
}

// yaml writes the rule file.
func (r *oracleRule) yaml() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if r.groupBy != nil {
		line("group_by: [%s]", strings.Join(r.groupBy, ", "))
		if r.silence.cohort == nil {
			line("scope: fleet")
		}
	}
	if r.keep > 0 {
		line("keep_firing_for: %dms", r.keep/1e6)
	}
	if r.suppress > 0 {
		line("suppress: %dms", r.suppress/1e6)
	}
	if r.except {
		line("exceptions: [{name: known, when: process.name == \"p4\", owner: somebody, expires: 2030-01-01}]")
	}
	if r.rollup != nil {
		b.WriteString(r.rollup.yaml() + "\n")
	}
	if r.noData != "" {
		line("no_data: %s", r.noData)
	}
	if r.typ == "silence" {
		return ruleYAML(r.number+1, r.typ, b.String()+r.silence.yaml(r))
	}
	if r.typ == "sequence" {
		line("maxspan: %dms\nordered: %v\nsteps:", r.window/1e6, !r.unordered)
		for i, s := range r.steps {
			bare := strings.TrimPrefix(s, "!")
			line("  - {name: s%d, condition: 'event.action == %q', absent: %v, within: %dms}", i, bare, bare != s, r.within/1e6*int64((i+1)/len(r.steps)))
		}
		if r.within > 0 {
			line("grace: %dms", r.grace/1e6)
		}
		return ruleYAML(r.number+1, r.typ, b.String())
	}
	if r.hold > 0 {
		line("for: %dms\ncondition: edr.resource.cpu_pct >= %v", r.hold/1e6, r.bound)
		return ruleYAML(r.number+1, r.typ, b.String())
	}
	if r.typ != "match" {
		line("window: %dms", r.window/1e6)
	}
	if r.kind != "" {
		line("window_kind: %s", r.kind)
	}
	if r.gap > 0 {
		line("gap: %dms", r.gap/1e6)
	}
	if r.typ != "change" {
		line("condition: event.action == %q", r.action)
	}
	switch r.typ {
	case "threshold":
		line("having: {%s}", r.having)
		if r.debounce > 0 {
			line("debounce: %dms", r.debounce/1e6)
		}
	case "value_count":
		line("having: {%s}\nfield: %s", r.having, r.field)
	case "metric":
		line("having: {%s}\nfield: edr.resource.cpu_pct\nfunction: %s\nmin_events: %d", r.having, r.function, r.least)
	case "spike":
		line("history: %d\nmin_history: %d\ntimes: %v\nmin_events: %d", r.history, r.minKnown, r.times, r.least)
		if r.down {
			line("direction: down")
		}
		if r.hostUp {
			line("host: up")
		}
	case "anomaly":
		b.WriteString(r.anomaly.yaml())
	case "change":
		line("field: process.name\nreturns: %d", r.returns)
		if r.from != "" {
			line("from: [%s]\nto: [%s]", r.from, r.to)
		}
		if r.direction != "" {
			line("direction: %s", r.direction)
		}
	case "new_terms":
		line("fields: [process.name]\nlearn: %dms", r.learn/1e6)
	}
	return ruleYAML(r.number+1, r.typ, b.String())
}

// reached reports whether a statistic satisfies having.
func (r *oracleRule) reached(v float64) bool {
	switch r.compare {
	case "gte":
		return v >= r.bound
	case "gt":
		return v > r.bound
	case "lte":
		return v <= r.bound
	case "lt":
		return v < r.bound
	default:
		return v >= r.bound/2 && v < r.bound
	}
}

// excepts reports whether an exception takes the event out.
func (r *oracleRule) excepts(e *oracleEvent) bool { return r.except && e.process == "p4" }

// key is the value of group_by; false when a part is missing.
func (r *oracleRule) key(e *oracleEvent) (string, bool) {
	if r.groupBy == nil {
		return e.agent, e.agent != ""
	}
	var parts []string
	for _, name := range r.groupBy {
		value := map[string]string{"agent.type": e.typ, "entity": e.agent, "process.name": e.process}[strings.TrimSuffix(name, "?")]
		if value == "" && !strings.HasSuffix(name, "?") {
			return "", false
		}
		parts = append(parts, value)
	}
	return strings.Join(parts, " | "), true
}

// oracleAlert is an alert document.
type oracleAlert struct {
	at     int64
	status string
	key    string
	start  int64
	count  int64
	more   string // With a rollup: severity and incident, or the denominator.
}

func (a oracleAlert) String() string {
	return fmt.Sprintf("%d %s %q from %d, %d %s", a.at, a.status, a.key, a.start, a.count, a.more)
}

// oracle is the history of one key and what follows from it.
type oracle struct {
	r       *oracleRule
	key     string
	events  []oracleEvent // In order of arrival, those on time.
	alerts  []oracleAlert
	settled int64
	used    int64
	marks   []int64
	judged  int64 // Start of the latest metric window that was judged.
	raised  int64
	run     []oracleEvent // Readings that hold without a break.
	newest  int64         // Event time of the latest of them.

	watch noDataWatch
	drop  dropWatch
	past  anomalyPast
	away  awayWatch

	// The episode.
	open  bool
	start int64
	began int64 // Clock.
	last  int64 // Clock when it was last satisfied.
	close int64
	count int64
	// From then on a window had just enough, of those that count for the end.
	enough int64
}

const tenMinutes = int64(600e9)

const never = int64(-1 << 62)

// predict returns the alerts of a rule for events in order of arrival, the
// clock being moved to end after the last.
func predict(r *oracleRule, events []oracleEvent, end int64) []oracleAlert {
	if r.typ == "silence" {
		return predictSilence(r, events, end)
	}
	if r.rollup != nil {
		return predictRollup(r, events, end)
	}
	var ticks []int64
	if r.wide() {
		if r.within > 0 {
			ticks = closings(events, end)
		}
		events = r.stepped(events, end)
		end -= end % stepNS
	}
	keys := map[string]*oracle{}
	for _, e := range events {
		e.at = min(e.at, e.now)
		if key, ok := r.key(&e); ok && keys[key] == nil {
			keys[key] = &oracle{r: r, key: key, settled: never, used: never, judged: never, raised: never}
		}
	}
	var all []oracleAlert
	for _, key := range sortedKeys(keys) {
		o, rest := keys[key], ticks
		for _, e := range events {
			e.at = min(e.at, e.now)
			for ; len(rest) > 0 && rest[0] < e.now; rest = rest[1:] {
				o.pass(rest[0])
			}
			o.pass(e.now)
			o.watch.agentHeard(&e, key)
			o.drop.seen = append(o.drop.seen, e)
			if k, ok := r.key(&e); ok && k == key && (e.at >= e.now-r.lateness || r.typ == "match" && r.hold == 0) {
				o.see(e)
			}
		}
		for ; len(rest) > 0; rest = rest[1:] {
			o.pass(rest[0])
		}
		o.pass(end)
		all = append(all, o.alerts...)
	}
	return all
}

func sortedKeys[T any](m map[string]T) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	sort.Strings(list)
	return list
}

func (o *oracle) say(at int64, status string) {
	o.alerts = append(o.alerts, oracleAlert{at: at, status: status, key: o.key, start: o.start, count: o.count})
}

func (o *oracle) begin(now, start, count int64) {
	o.open, o.start, o.began, o.last, o.count, o.watch.next, o.enough = true, start, now, now, count, 0, never
	o.say(now, "firing")
}

// found is a finding of a type that has no end of its own.
func (o *oracle) found(now, start, count int64) {
	switch {
	case o.r.keep == 0 && o.r.suppress == 0:
		o.start, o.count = start, count
		o.say(now, "firing")
	case o.open:
		o.count++
		o.last = now
	default:
		o.begin(now, start, count)
	}
}

// pass lets the time go on to now: episodes end, windows close.
func (o *oracle) pass(now int64) {
	o.watch.clock(o, now)
	if o.r.down {
		o.drop.clock(o, now)
	}
	if o.r.within > 0 {
		o.stayedAway(now)
	}
	if o.r.typ == "metric" && o.r.kind != "sliding" {
		for _, b := range o.buckets() {
			due := b.close + o.r.lateness
			if b.start <= o.judged || due > now {
				continue
			}
			o.end(due)
			o.judged = b.start
			if v, ok := o.measure(b.events); ok && o.r.reached(v) {
				o.found(due, b.start, int64(len(b.events)))
			}
		}
	}
	o.end(now)
}

// end ends the episode when that is due.
func (o *oracle) end(now int64) {
	if !o.open {
		return
	}
	due := max(o.last+o.r.keep, o.began+o.r.suppress)
	switch {
	case o.watch.decides(o):
		o.watch.end(o, now)
		return
	case o.r.hold > 0 && len(o.run) > 0: // Nothing said that it is over: readings may still come.
		gap := o.last + o.r.keep + max(o.r.hold, tenMinutes)
		due = max(gap, o.began+o.r.suppress)
		if due == gap && now == due {
			return // One may come now.
		}
	case (o.r.typ == "threshold" || o.r.typ == "value_count") && o.r.kind == "sliding":
		due = max(o.enough+o.r.window+o.r.keep, o.began+o.r.suppress)
	case o.r.typ == "metric" && o.r.kind == "sliding":
		times := o.times(o.events)
		due = max(due, times[len(times)-1]+o.r.window)
	case o.r.typ == "threshold" || o.r.typ == "value_count":
		due = max(o.close+o.r.keep, o.began+o.r.suppress)
	}
	if due = o.watch.look(o, max(due, o.began+1), now); due <= now {
		o.open, o.settled = false, due-1
		o.say(due, "resolved")
	}
}

// times are the times of events in order.
func (o *oracle) times(events []oracleEvent) []int64 {
	var list []int64
	for _, e := range events {
		list = append(list, e.at)
	}
	slices.Sort(list)
	return list
}

// value is what a value_count counts of an event.
func (o *oracle) value(e *oracleEvent) string {
	if o.r.field == "entity" {
		return e.agent
	}
	return e.process
}

// within are the events of (end - window, end].
func (o *oracle) within(end int64) []oracleEvent {
	var list []oracleEvent
	for _, e := range o.events {
		if e.at <= end && e.at > end-o.r.window {
			list = append(list, e)
		}
	}
	return list
}

// number is what a threshold or value_count counts in some events.
func (o *oracle) number(events []oracleEvent) int64 {
	if o.r.typ == "threshold" {
		return int64(len(events))
	}
	values := map[string]bool{}
	for _, e := range events {
		values[o.value(&e)] = true
	}
	return int64(len(values))
}

// measure is the statistic of a metric rule; false for too few events.
func (o *oracle) measure(events []oracleEvent) (float64, bool) {
	if len(events) < o.r.least {
		return 0, false
	}
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b oracleEvent) int { return cmp.Compare(a.at, b.at) })
	var values []float64
	total := 0.0
	for _, e := range events {
		values = append(values, e.cpu)
		total += e.cpu
	}
	sort.Float64s(values)
	switch f := o.r.function; f {
	case "sum":
		return total, true
	case "avg":
		return total / float64(len(values)), true
	case "min":
		return values[0], true
	case "max":
		return values[len(values)-1], true
	default:
		p, _ := strconv.Atoi(f[1:])
		for i, v := range values { // The least value that p per cent are not above.
			if 100*(i+1) >= p*len(values) {
				return v, true
			}
		}
		return 0, false
	}
}

// oracleBucket is a tumbling window or session.
type oracleBucket struct {
	start, close int64
	events       []oracleEvent
}

// buckets cuts the whole history.
func (o *oracle) buckets() []oracleBucket {
	events := slices.Clone(o.events)
	slices.SortStableFunc(events, func(a, b oracleEvent) int { return cmp.Compare(a.at, b.at) })
	var list []oracleBucket
	for _, e := range events {
		last := len(list) - 1
		if last < 0 || e.at >= list[last].close {
			b := oracleBucket{start: e.at / o.r.window * o.r.window}
			b.close = b.start + o.r.window
			if o.r.kind == "session" {
				b.start, b.close = e.at, e.at+o.r.gap
			}
			list = append(list, b)
			last++
		}
		b := &list[last]
		b.events = append(b.events, e)
		if o.r.kind == "session" {
			b.close = min(e.at+o.r.gap, b.start+o.r.window)
		}
	}
	return list
}
