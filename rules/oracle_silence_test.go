package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// silenceSpec is what an oracle knows of a silence rule beyond the keys that
// all rules have.
type silenceSpec struct {
	after    int64
	multiple float64  // multiple_of_cadence, 0 without.
	goodbye  string   // The action of ends_on, "" without.
	farewell string   // process.name of a goodbye, "" for any.
	hostUp   bool     // host: up
	hosts    []string // host_type
	cohort   *cohortSpec
}

func (s *silenceSpec) yaml(r *oracleRule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "condition: event.action == %q\nafter: %dms\n", r.action, s.after/1e6)
	if s.multiple > 0 {
		fmt.Fprintf(&b, "multiple_of_cadence: %v\n", s.multiple)
	}
	if s.goodbye != "" {
		fmt.Fprintf(&b, "ends_on: event.action == %q", s.goodbye)
		if s.farewell != "" {
			fmt.Fprintf(&b, " and process.name == %q", s.farewell)
		}
		b.WriteString("\n")
	}
	if s.hostUp {
		b.WriteString("host: up\n")
	}
	if len(s.hosts) > 0 {
		fmt.Fprintf(&b, "host_type: [%s]\n", strings.Join(s.hosts, ", "))
	}
	if s.cohort != nil {
		b.WriteString(s.cohort.yaml())
	}
	return b.String()
}

// drawSilence draws a silence rule and a stream with goodbyes, stalls, copies
// and hosts whose type becomes known late or changes.
func drawSilence(r *rand.Rand, n int) (*oracleRule, []oracleEvent) {
	x := &oracleRule{typ: "silence", action: "error", lateness: int64(1+r.IntN(16)) * 30 * secondNS}
	x.groupBy = pick(r, nil, nil, []string{"agent.type"}, []string{"entity", "process.name?"}, []string{})
	x.silence.after = int64(2+r.IntN(30)) * 30 * secondNS
	if r.IntN(3) == 0 {
		x.silence.multiple = float64(3+r.IntN(10)) / 2
	}
	if r.IntN(2) == 0 {
		x.silence.goodbye, x.silence.farewell = pick(r, "sensor-stopped", "error"), pick(r, "", "p1")
		if x.silence.goodbye == x.action {
			x.silence.farewell = "p1"
		}
	}
	x.silence.hostUp = r.IntN(3) == 0
	if r.IntN(3) == 0 {
		x.silence.hosts = pick(r, []string{"server"}, []string{"server", "unknown"})
	}
	x.except = r.IntN(4) == 0
	events := randomStream(r, x, n)
	for i := range events {
		events[i].hostType = pick(r, "", "", "", "", "server", "workstation")
		events[i].feed = pick(r, "f1", "f2")
		if i > 0 && r.IntN(10) == 0 { // A copy.
			now := events[i].now
			events[i] = events[i-1]
			events[i].now = now
		}
	}
	return x, events
}

// silentAgent is what the oracle knows of one key.
type silentAgent struct {
	heard    int64 // Clock at the last sign of life.
	quiet    int64 // Time that counts since.
	usual    int64 // Interval between signs of life, 0 while unknown.
	wait     int64 // How long the time that counts may get until the agent is looked at.
	agent    string
	watched  bool
	reported bool
	began    int64
}

// silenceWorld is what the oracle knows of the feed.
type silenceWorld struct {
	r    *oracleRule
	seen []oracleEvent // All events so far.
}

// hostType is what the agent's records have said last.
func (w *silenceWorld) hostType(agent string) string {
	typ := "unknown"
	for _, e := range w.seen {
		if e.agent == agent && agent != "" && e.hostType != "" {
			typ = e.hostType
		}
	}
	return typ
}

// up reports whether the records of the agent's host show at a time that it is
// up and steadily so.
func (w *silenceWorld) up(a *silentAgent, at int64) bool {
	var times []int64
	for _, e := range w.seen {
		if e.agent == a.agent && a.agent != "" && e.now-e.at <= tenMinutes {
			times = append(times, e.now)
		}
	}
	if len(times) == 0 {
		return false
	}
	last := times[len(times)-1]
	first := last
	for _, t := range slices.Backward(times) {
		if first-t > tenMinutes {
			break
		}
		first = t
	}
	half := w.r.silence.after / 2
	return last > a.heard && at-last <= half && at-first >= half
}

// tolerance is how long the agent may be silent.
func (w *silenceWorld) tolerance(a *silentAgent) int64 {
	switch s := &w.r.silence; {
	case s.multiple == 0:
		return s.after
	case a.usual == 0:
		return 3 * s.after
	default:
		return max(s.after, int64(s.multiple*float64(a.usual)))
	}
}

// predictSilence walks over the clock's steps and lets the time of each count
// for every agent.
func predictSilence(r *oracleRule, events []oracleEvent, end int64) []oracleAlert {
	if r.silence.cohort != nil {
		return predictCohort(r, events, end)
	}
	var all []oracleAlert
	for key := range silenceKeys(r, events) {
		all = append(all, predictSilent(r, key, events, end)...)
	}
	slices.SortStableFunc(all, func(a, b oracleAlert) int { return strings.Compare(a.key, b.key) })
	return all
}

func silenceKeys(r *oracleRule, events []oracleEvent) map[string]bool {
	keys := map[string]bool{}
	for _, e := range events {
		if key, ok := r.key(&e); ok {
			keys[key] = true
		}
	}
	return keys
}

func predictSilent(r *oracleRule, key string, events []oracleEvent, end int64) (alerts []oracleAlert) {
	w := &silenceWorld{r: r}
	a := &silentAgent{}
	say := func(at int64, status string) {
		alerts = append(alerts, oracleAlert{at: at, status: status, key: key, start: a.began, count: 1})
	}
	clock := events[0].now
	pass := func(now int64) {
		half := r.silence.after / 2
		counts := min(now-clock, half) // The end of a long gap.
		begin := now - counts
		for a.watched && !a.reported && a.wait <= a.quiet+counts {
			at := begin + a.wait - a.quiet
			if len(r.silence.hosts) > 0 && !slices.Contains(r.silence.hosts, w.hostType(a.agent)) || r.silence.hostUp && !w.up(a, at) {
				a.wait += half
				continue
			}
			a.reported, a.began = true, a.heard
			say(at, "firing")
		}
		a.quiet += counts
		clock = now
	}
	for _, e := range events {
		e.at = min(e.at, e.now)
		pass(e.now)
		w.seen = append(w.seen, e)
		if k, ok := r.key(&e); !ok || k != key {
			continue
		}
		if e.action == r.action && !r.excepts(&e) {
			if a.reported {
				a.reported = false
				say(e.now, "resolved")
			}
			if a.watched {
				switch {
				case a.usual == 0:
					a.usual = max(a.quiet, 1)
				case a.quiet < a.usual:
					a.usual += (a.quiet - a.usual) / 2
				case a.quiet <= w.tolerance(a):
					a.usual += (a.quiet - a.usual) / 8
				}
			}
			a.watched, a.heard, a.quiet, a.agent = true, e.now, 0, e.agent
			a.wait = w.tolerance(a)
		}
		if s := &r.silence; e.action == s.goodbye && (s.farewell == "" || e.process == s.farewell) {
			if a.reported {
				a.reported = false
				say(e.now, "resolved")
			}
			a.watched = false
		}
	}
	pass(end)
	return alerts
}

func TestSilenceAgainstOracle(t *testing.T) {
	dict := dictionary(t)
	total := 0
	for i := range uint64(250) {
		_, n := againstOracle(t, dict, drawSilence, 2, i, 60)
		total += n
	}
	if total < 250 {
		t.Errorf("only %d alerts, the test shows little", total)
	}
}

// FuzzSilenceAgainstOracle draws silence rules and streams from seeds.
func FuzzSilenceAgainstOracle(f *testing.F) {
	dict := dictionary(f)
	f.Add(uint64(1), uint64(2), uint8(60))
	f.Fuzz(func(t *testing.T, a, b uint64, n uint8) { againstOracle(t, dict, drawSilence, a, b, int(n)+1) })
}
