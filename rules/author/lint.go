package author

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/load"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// Level says how bad a finding is.
type Level string

// The levels of findings.
const (
	LevelError   Level = "error"   // The rule set does not load.
	LevelWarning Level = "warning" // It works, but cannot be what is meant, or lacks something.
)

// Finding is what Lint has to say about one place of a rule file.
type Finding struct {
	Level  Level
	Check  string // Which check it comes from, see Checks.
	RuleID string // Empty when the rule's own id is not known.
	strict.Problem
}

// Check is a kind of finding.
type Check struct{ ID, Meaning string }

// Checks lists the kinds of findings.
func Checks() []Check {
	return []Check{
		{"load", "The file does not load as a rule."},
		{"condition", "A condition can never be true, makes no difference, or needs no field, so that it is evaluated for every event."},
		{"exception", "An exception has expired, expires soon, takes out everything or nothing."},
		{"mapping", "An entry of severity_mapping or risk_score_mapping is never reached, or maps outside of the severity's band."},
		{"threat", "An id is not one of MITRE ATT&CK, or does not fit its tactic."},
		{"documentation", "A production rule lacks what an analyst needs."},
	}
}

// ExpiresSoon is how long before its end an exception is reported.
const ExpiresSoon = 30 * 24 * time.Hour

// Lint reads and compiles the rule files of the trees and returns everything
// that is wrong with them in the order of files and lines, with the number of
// rules that were read. Unlike Parse and Compile it goes on after errors. The
// rules of a file that does not load are missing from the findings about
// others, such as that a macro of it does not exist.
func Lint(kinds []engine.Kind, dict *ecs.Dictionary, now time.Time, trees []load.Tree) (list []Finding, rules int) {
	files, err := load.Read(kinds, trees)
	list = loadFindings("", err)
	known := readAttack()
	for _, p := range files.CheckDefinitions(dict) {
		list = append(list, Finding{Level: LevelError, Check: "load", Problem: p})
	}
	sources := files.Sources()
	for i := range sources {
		src := &sources[i]
		rule, c := files.CompileRule(src, dict)
		l := linter{node: src.Node, rule: rule, header: src.Decl.Shared(), now: now}
		problems, warnings := c.Found()
		l.add(LevelError, "load", problems)
		l.add(LevelWarning, "condition", warnings)
		if len(problems) == 0 {
			l.run("exception", l.exceptions)
			l.run("mapping", l.mappings)
		}
		l.run("threat", func() { checkThreats(&l.Checker, l.header.Threat, known) })
		l.run("documentation", l.documentation)
		list = append(list, l.findings...)
	}
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(list, func(a, b Finding) bool { return a.Problem == b.Problem }), len(sources)
}

func loadFindings(id string, err error) []Finding {
	if err == nil {
		return nil
	}
	problems := []strict.Problem{{Message: err.Error()}}
	var known *strict.Error
	if errors.As(err, &known) {
		problems = known.Problems
	}
	list := make([]Finding, len(problems))
	for i, p := range problems {
		list[i] = Finding{Level: LevelError, Check: "load", RuleID: id, Problem: p}
	}
	return list
}

// linter looks at one compiled rule.
type linter struct {
	spec.Checker
	node     strict.Node
	rule     *engine.Rule
	header   *spec.Header
	now      time.Time
	findings []Finding
}

func (l *linter) add(level Level, check string, problems []strict.Problem) {
	for _, p := range problems {
		l.findings = append(l.findings, Finding{Level: level, Check: check, RuleID: l.rule.ID, Problem: p})
	}
}

// run runs one check and takes over its warnings.
func (l *linter) run(check string, f func()) {
	l.Checker = spec.NewChecker(l.node)
	f()
	_, warnings := l.Found()
	l.add(LevelWarning, check, warnings)
}

// exceptions looks at when exceptions end and at what they take out.
func (l *linter) exceptions() {
	for i, x := range l.rule.ActiveExceptions() {
		where := l.entry("exceptions", i)
		end := time.Unix(0, x.Until).UTC()
		switch day := end.Format(time.DateOnly); {
		case !l.now.Before(end):
			where("expires", fmt.Sprintf("exception %q of %s has expired on %s", x.Name, x.Owner, day), "remove it, or let its owner renew it")
		case l.now.Add(ExpiresSoon).After(end):
			where("expires", fmt.Sprintf("exception %q of %s expires on %s", x.Name, x.Owner, day), "let its owner renew it where it is still needed")
		}
		some, all, judged := false, true, false
		for _, h := range l.rule.Hooks() {
			if !h.Unexcepted && h.X != nil && !h.X.Never() {
				judged = true
				some = some || h.X.Excludes(x.When) == ""
				all = all && h.X.Implies(x.When)
			}
		}
		switch {
		case !judged: // None can be true, which is reported with it.
		case !some:
			where("when", fmt.Sprintf("exception %q takes nothing out: it is never true of an event that the rule is about", x.Name), "")
		case all:
			where("when", fmt.Sprintf("exception %q takes out every event that the rule is about", x.Name), "narrow it, or set enabled: false")
		}
	}
}

// mappings looks for entries that are never reached: the first that is true
// wins.
func (l *linter) mappings() {
	severities, risks := l.rule.Overrides()
	for key, list := range map[string][]engine.Override{"severity_mapping": severities, "risk_score_mapping": risks} {
		for i := range list {
			for j := range i {
				if list[i].When.Implies(list[j].When) {
					l.entry(key, i)("when", fmt.Sprintf("%s is never reached: whenever it is true, %s is, which comes before it", list[i].When, list[j].When), "put it first")
					break
				}
			}
		}
	}
	if len(severities) > 0 {
		return // Which band a score belongs to depends on the event.
	}
	low, high := spec.Band(l.rule.Severity)
	for i, o := range risks {
		if o.Risk < low || o.Risk > high {
			l.entry("risk_score_mapping", i)("risk_score", fmt.Sprintf("risk_score %v does not fit severity %s", o.Risk, l.rule.Severity),
				fmt.Sprintf("expected %v to %v, or add a severity_mapping", low, high))
		}
	}
}

// documentation looks for what a production rule owes its readers beyond what
// it is refused without.
func (l *linter) documentation() {
	h := l.header
	if h.Maturity != "production" {
		return
	}
	if h.Description == unwritten {
		l.Warn("description", "the description is still the one that rules new wrote", "say in one sentence what has happened when the rule alerts; look at kind, severity, note and false_positives, too")
	}
	if len(h.References) == 0 {
		l.Warn("name", "the rule has no references", "name a page that describes the behaviour or the records")
	}
	if len(h.FalsePositives) == 0 {
		l.Warn("name", "the rule has no false_positives", "say what harmless things cause its alerts")
	}
	if h.Note != "" && !strings.Contains(strings.ToLower(h.Note), "triage") {
		l.Warn("note", "the note has no section about triage", "begin one with ## Triage")
	}
}

// entry returns a function that warns about a key of an element of a list.
func (l *linter) entry(list string, i int) func(key, message, hint string) {
	return func(key, message, hint string) {
		n := l.node
		if items := l.node.Get(list).Items(); i < len(items) {
			n = items[i]
		}
		l.WarnAt(n, key, message, hint)
	}
}
