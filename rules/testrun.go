package rules

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// TestOptions select and shape test runs.
type TestOptions struct {
	Run     *regexp.Regexp // Only tests whose "rule name/test name" matches; nil: all.
	Session SessionOptions
	// Coverage fills Report.Coverage.
	Coverage bool
	// Metamorphic runs every test also with its events duplicated, shuffled
	// within lateness and split over two sessions, where the semantics of the
	// rule promise the same alerts, with restarts, and going on from snapshots.
	// Differences are failures.
	Metamorphic bool
	// Rewind is how far a metamorphic restart goes back; 0: to the first event.
	Rewind time.Duration
}

// Report is the outcome of RunTests.
type Report struct {
	Results        []TestResult
	Passed, Failed int
	Coverage       []RuleCoverage `json:",omitempty"`
}

// TestResult is the outcome of one test.
type TestResult struct {
	RuleID, Rule, Test string
	File               string
	Line               int
	Failures           []string // What was expected and what came; empty when passed.
	Misses             []*Miss  `json:",omitempty"` // Of a test that wants more alerts: how near the rule came to them.
	Alerts             []string // The alert documents, for whoever looks into a failure.
	Duration           time.Duration
}

// Passed reports whether the test passed.
func (r *TestResult) Passed() bool { return len(r.Failures) == 0 }

// runTests runs the tests in the rule files with the engine that runs in
// production, each rule by itself, disabled ones included. Every test runs
// twice, which must give the same documents.
func runTests(files *Files, dict *ecs.Dictionary, o TestOptions) (Report, error) {
	var report Report
	for i := range files.sources() {
		src := &files.sources()[i]
		set, err := files.with(enabled(files, src)).Compile(dict)
		if err != nil {
			return report, err
		}
		h := src.decl.header()
		line, _ := src.node.Position()
		var seen *coverage
		if o.Coverage {
			seen = newCoverage(set)
		}
		for t := range h.Tests {
			if o.Run != nil && !o.Run.MatchString(h.Name+"/"+h.Tests[t].Name) {
				continue
			}
			at := line
			if items := src.node.Get("tests").Items(); t < len(items) {
				at, _ = items[t].Position()
			}
			began := time.Now()
			result := TestResult{RuleID: strings.ToLower(h.ID), Rule: h.Name, Test: h.Tests[t].Name, File: src.file, Line: at}
			runTest(&result, set, &h.Tests[t], o, seen)
			result.Duration = time.Since(began)
			if result.Passed() {
				report.Passed++
			} else {
				report.Failed++
			}
			report.Results = append(report.Results, result)
		}
		if seen != nil {
			report.Coverage = append(report.Coverage, RuleCoverage{
				RuleID: strings.ToLower(h.ID), Rule: h.Name, File: src.file, Line: line, Clauses: seen.clauses,
			})
		}
	}
	return report, nil
}

// enabled returns a rule that compiles into a set whatever its maturity.
func enabled(f *Files, src *source) source {
	decl, err := f.declare(src.node)
	if err != nil || src.node.Decode(decl) != nil {
		return *src // It was read before, so this cannot happen.
	}
	decl.header().Enabled = true
	decl.header().Stage = "live"
	if decl.header().Maturity == "deprecated" {
		decl.header().Maturity = "development"
	}
	return source{file: src.file, node: src.node, decl: decl}
}

// arrival is one event of a test on its way.
type arrival struct {
	at     int64
	time   int64
	number int
	set    map[string]strict.Node
	agent  string // Of a fleet.
	host   string

	elsewhere bool // Another session gets it; this one sees the clock only.
}

// raised is one alert of a test.
type raised struct {
	at     int64
	id     string
	key    string
	status string
	reason string
	body   string
	meets  []bool // Per expectation.
}

func runTest(result *TestResult, set *Ruleset, t *testCase, o TestOptions, seen *coverage) {
	var failures []string
	start, _ := t.start() // Checked when the file was read.
	arrivals := arrivalsOf(t, start)
	wheres := make([]*expression.Expression, len(t.Expect))
	end := start
	for i, x := range t.Expect {
		if x.Where.Value != "" {
			wheres[i], _, _ = expression.Compile(x.Where, set.Dictionary())
		}
		end = max(end, start+int64(x.when()))
	}
	before := set.Counters()[0]
	got := play(set, arrivals, end, wheres, o.Session, seen)
	after := set.Counters()[0]
	again := play(set, arrivals, end, wheres, o.Session, nil)
	for i := range got {
		result.Alerts = append(result.Alerts, got[i].body)
	}
	if !slices.EqualFunc(got, again, func(a, b raised) bool { return a.body == b.body }) {
		failures = append(failures, "two runs gave different alerts")
	}
	short := int64(0) // When alerts were missing first.
	for i := range t.Expect {
		f, missing := judgeExpectation(&t.Expect[i], i, start, got)
		if f != "" {
			failures = append(failures, f)
		}
		if missing && short == 0 {
			short = start + int64(t.Expect[i].when())
		}
	}
	if len(failures) > 0 {
		failures = append(failures, happened(start, got, &before, &after, len(arrivals))...)
	}
	if short != 0 {
		result.Misses = missesOf(set, arrivals, short, o.Session)
		for _, m := range result.Misses {
			failures = append(failures, "nearest miss "+m.Text(func(ns int64) string { return offset(ns - start).String() }))
		}
	}
	if o.Metamorphic {
		m := metamorphosis{set: set, arrivals: arrivals, end: end, session: o.Session, rewind: int64(o.Rewind), plain: got}
		failures = append(failures, m.run()...)
	}
	result.Failures = failures
}

// missesOf runs the events of a test again and looks for what was nearly an
// alert.
func missesOf(set *Ruleset, arrivals []arrival, end int64, o SessionOptions) (list []*Miss) {
	o.Misses = func(*Rule) bool { return true }
	s := set.NewSession(o)
	playOn(s, arrivals, end, nil, nil, func(s *Session) *Session { return s })
	return s.Misses(set.Rules()[0], maxNearest)
}

// maxTold is how many alerts of a failed test are told.
const maxTold = 5

// maxNearest is how many of the nearest misses are.
const maxNearest = 3

// happened tells what a failed test has seen: its alerts, or how far its events
// came.
func happened(start int64, got []raised, before, after *Counters, events int) []string {
	var list []string
	for i, r := range got {
		if i == maxTold {
			list = append(list, fmt.Sprintf("there were %d alerts more", len(got)-maxTold))
			break
		}
		list = append(list, fmt.Sprintf("there was at %s %s: %s", offset(r.at-start), r.status, r.reason))
	}
	if len(got) > 0 {
		return list
	}
	seen := fmt.Sprintf("there was no alert: of %s the condition was true of %d", plural(int64(events), "event"), after.Matches-before.Matches)
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{after.Absent - before.Absent, "unknown of %d, for want of a field"},
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

// when is the offset at which an expectation is looked at.
func (x *expectation) when() offset {
	if x.By != nil {
		return *x.By
	}
	return *x.At
}

// judge compares an expectation with what was raised; short: alerts are
// missing.
func judgeExpectation(x *expectation, number int, start int64, got []raised) (failure string, short bool) {
	limit := start + int64(x.when())
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
	return fmt.Sprintf("expected %s %s %s%s, found %d", plural(int64(x.Alerts), strings.TrimSpace(x.Status+" alert")), word, x.when(), where, found), found < x.Alerts
}

// play runs events through a new session.
func play(set *Ruleset, arrivals []arrival, end int64, wheres []*expression.Expression, o SessionOptions, seen *coverage) []raised {
	return playOn(set.NewSession(o), arrivals, end, wheres, seen, func(s *Session) *Session { return s })
}

// playOn runs events through a session, and gives it to next whenever the
// clock has moved and whenever an event was judged.
func playOn(s *Session, arrivals []arrival, end int64, wheres []*expression.Expression, seen *coverage, next func(*Session) *Session) []raised {
	defer func() { s.Close() }()
	var got []raised
	env := expression.Env{}
	emit := func(a *event.Event) {
		env.Event = a
		r := raised{at: a.Timestamp(), key: strings.Clone(a.Str(ecs.EDRAlertKey)), id: strings.Clone(a.Str(ecs.EDRAlertID)), status: strings.Clone(a.Str(ecs.EDRAlertStatus)), reason: strings.Clone(a.Str(ecs.EDRAlertReason))}
		for _, w := range wheres {
			r.meets = append(r.meets, w == nil || w.Eval(&env) == expression.True)
		}
		r.body = string(a.AppendJSON(nil))
		got = append(got, r)
	}
	e := event.New(s.Dictionary())
	for i := range arrivals {
		if arrivals[i].at > end {
			break
		}
		s.Detect(arrivals[i].at, nil, emit)
		s = next(s)
		if arrivals[i].elsewhere {
			continue
		}
		arrivals[i].fill(e)
		seen.see(e)
		s.Detect(arrivals[i].at, e, emit)
		s = next(s)
	}
	s.Detect(end, nil, emit)
	return got
}

// fill makes the event.
func (a *arrival) fill(e *event.Event) {
	e.Reset()
	e.Set(ecs.Timestamp, event.Time(a.time))
	if a.agent != "" {
		e.SetString(ecs.AgentID, a.agent)
		e.SetString(ecs.HostName, a.host)
	}
	for _, name := range slices.Sorted(maps.Keys(a.set)) {
		// The values were checked when the set was compiled.
		_ = setField(e, name, a.set[name], a.number)
	}
}

// arrivals lists the test's events in the order in which they arrive.
func arrivalsOf(t *testCase, start int64) []arrival {
	var list []arrival
	for _, e := range t.Events {
		count, every := 1, time.Duration(0)
		if e.Repeat != nil {
			count, every = e.Repeat.Count, e.Repeat.Every
		}
		for n := range count {
			at := start + int64(e.At) + int64(n)*int64(every)
			when := at
			if e.Time != nil {
				when = start + int64(*e.Time) + int64(n)*int64(every)
			}
			list = append(list, arrival{at: at, time: when, number: n + 1, set: e.Set})
		}
	}
	for i := range t.Fleet {
		list = append(list, fleetArrivals(&t.Fleet[i], start)...)
	}
	slices.SortStableFunc(list, byArrival)
	return list
}

func byArrival(a, b arrival) int { return cmp.Compare(a.at, b.at) }

func fleetArrivals(f *testFleet, start int64) []arrival {
	var list []arrival
	for n := 1; n <= f.Agents; n++ {
		phase := int64(f.Every) * int64(n-1) / int64(f.Agents)
		for at := int64(f.From) + phase; at <= int64(f.Until); at += int64(f.Every) {
			if stopped(f, n, at) {
				continue
			}
			list = append(list, arrival{
				at: start + at, time: start + at, number: n, set: f.Set,
				agent: fmt.Sprintf("%sagent-%d", f.Prefix, n), host: fmt.Sprintf("%shost-%d", f.Prefix, n),
			})
		}
	}
	return list
}

// stopped reports whether an agent is silent at a time.
func stopped(f *testFleet, n int, at int64) bool {
	for i := range f.Stop {
		s := &f.Stop[i]
		first, last, _ := s.agents(f.Agents)
		if n >= first && n <= last && at >= int64(s.At) && (s.Until == nil || at < int64(*s.Until)) {
			return true
		}
	}
	return false
}
