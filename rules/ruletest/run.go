package ruletest

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/load"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// TestOptions select and shape test runs.
type TestOptions struct {
	Run     *regexp.Regexp // Only tests whose "rule name/test name" matches; nil: all.
	Session engine.SessionOptions
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
	Failures           []string           // What was expected and what came; empty when passed.
	Misses             []*engine.NearMiss `json:",omitempty"` // Of a test that wants more alerts: how near the rule came to them.
	Alerts             []string           // The alert documents, for whoever looks into a failure.
	Duration           time.Duration
}

// Passed reports whether the test passed.
func (r *TestResult) Passed() bool { return len(r.Failures) == 0 }

// Run runs the tests in the rule files with the engine that runs in
// production, each rule by itself, disabled ones included. Every test runs
// twice, which must give the same documents.
func Run(files *load.Files, dict *ecs.Dictionary, o TestOptions) (Report, error) {
	var report Report
	for i := range files.Sources() {
		src := &files.Sources()[i]
		set, err := files.With(enabled(files, src)).Compile(dict)
		if err != nil {
			return report, err
		}
		h := src.Decl.Shared()
		line, _ := src.Node.Position()
		var seen *coverage
		if o.Coverage {
			seen = newCoverage(set)
		}
		for t := range h.Tests {
			if o.Run != nil && !o.Run.MatchString(h.Name+"/"+h.Tests[t].Name) {
				continue
			}
			at := line
			if items := src.Node.Get("tests").Items(); t < len(items) {
				at, _ = items[t].Position()
			}
			began := time.Now()
			result := TestResult{RuleID: strings.ToLower(h.ID), Rule: h.Name, Test: h.Tests[t].Name, File: src.File, Line: at}
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
				RuleID: strings.ToLower(h.ID), Rule: h.Name, File: src.File, Line: line, Clauses: seen.clauses,
			})
		}
	}
	return report, nil
}

// enabled returns a rule that compiles into a set whatever its maturity.
func enabled(f *load.Files, src *load.Source) load.Source {
	decl, err := f.Declare(src.Node)
	if err != nil || src.Node.Decode(decl) != nil {
		return *src // It was read before, so this cannot happen.
	}
	decl.Shared().Enabled = true
	decl.Shared().Stage = "live"
	if decl.Shared().Maturity == "deprecated" {
		decl.Shared().Maturity = "development"
	}
	return load.Source{File: src.File, Node: src.Node, Decl: decl}
}

// Raised is one alert of a test.
type Raised struct {
	at     int64
	id     string
	key    string
	status string
	reason string
	body   string
	meets  []bool // Per expectation.
}

func runTest(result *TestResult, set *engine.Ruleset, t *spec.TestCase, o TestOptions, seen *coverage) {
	var failures []string
	start, _ := t.Start() // Checked when the file was read.
	arrivals := Arrivals(t, start)
	wheres := make([]*expression.Expression, len(t.Expect))
	end := start
	for i, x := range t.Expect {
		if x.Where.Value != "" {
			wheres[i], _, _ = expression.Compile(x.Where, set.Dictionary())
		}
		end = max(end, start+int64(x.When()))
	}
	lag := int64(set.Rules()[0].Lag())
	end += lag
	before := set.Counters()[0]
	got := play(set, arrivals, end, wheres, o.Session, seen)
	after := set.Counters()[0]
	again := play(set, arrivals, end, wheres, o.Session, nil)
	for i := range got {
		result.Alerts = append(result.Alerts, got[i].body)
	}
	if !slices.EqualFunc(got, again, func(a, b Raised) bool { return a.body == b.body }) {
		failures = append(failures, "two runs gave different alerts")
	}
	short := int64(0) // When alerts were missing first.
	for i := range t.Expect {
		f, missing := judgeExpectation(&t.Expect[i], i, start, lag, got)
		if f != "" {
			failures = append(failures, f)
		}
		if missing && short == 0 {
			short = start + int64(t.Expect[i].When()) + lag
		}
	}
	if len(failures) > 0 {
		failures = append(failures, happened(start, got, &before, &after, len(arrivals))...)
	}
	if short != 0 {
		result.Misses = missesOf(set, arrivals, short, o.Session)
		for _, m := range result.Misses {
			failures = append(failures, "nearest miss "+m.Text(func(ns int64) string { return spec.Offset(ns - start).String() }))
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
func missesOf(set *engine.Ruleset, arrivals []Arrival, end int64, o engine.SessionOptions) (list []*engine.NearMiss) {
	o.NearMisses = func(*engine.Rule) bool { return true }
	s := set.NewSession(o)
	playOn(s, arrivals, end, nil, nil, func(s *engine.Session) *engine.Session { return s })
	return s.NearMisses(set.Rules()[0], maxNearest)
}

// maxNearest is how many of the nearest misses are.
const maxNearest = 3

// play runs events through a new session.
func play(set *engine.Ruleset, arrivals []Arrival, end int64, wheres []*expression.Expression, o engine.SessionOptions, seen *coverage) []Raised {
	return playOn(set.NewSession(o), arrivals, end, wheres, seen, func(s *engine.Session) *engine.Session { return s })
}

// playOn runs events through a session, and gives it to next whenever the
// clock has moved and whenever an event was judged.
func playOn(s *engine.Session, arrivals []Arrival, end int64, wheres []*expression.Expression, seen *coverage, next func(*engine.Session) *engine.Session) []Raised {
	defer func() { s.Close() }()
	last := end - int64(s.Ruleset().Rules()[0].Lag()) // What comes after is not part of the test.
	var got []Raised
	env := expression.Env{}
	emit := func(a *event.Event) {
		env.Event = a
		r := Raised{at: a.Timestamp(), key: strings.Clone(a.Str(ecs.EDRAlertKey)), id: strings.Clone(a.Str(ecs.EDRAlertID)), status: strings.Clone(a.Str(ecs.EDRAlertStatus)), reason: strings.Clone(a.Str(ecs.EDRAlertReason))}
		for _, w := range wheres {
			r.meets = append(r.meets, w == nil || w.Eval(&env) == expression.True)
		}
		r.body = string(a.AppendJSON(nil))
		got = append(got, r)
	}
	e := event.New(s.Dictionary())
	for i := range arrivals {
		if arrivals[i].At > last {
			break
		}
		s.Detect(arrivals[i].At, nil, emit)
		s = next(s)
		if arrivals[i].clockOnly {
			continue
		}
		arrivals[i].Fill(e)
		seen.see(e)
		s.Detect(arrivals[i].At, e, emit)
		s = next(s)
	}
	s.Detect(end, nil, emit)
	return got
}
