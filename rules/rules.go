package rules

import (
	"github.com/edrwatch/edrwatch/rules/author"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/load"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/ruletest"
)

// Rule files as they were read, and the kinds of rules that they may hold.
type (
	Files      = load.Files
	Tree       = load.Tree
	Kind       = engine.Kind
	Threat     = spec.Threat
	Tactic     = spec.Tactic
	Technique  = spec.Technique
	Response   = spec.Response
	CanarySign = engine.CanarySign
)

// A compiled set of rules and its state.
type (
	Ruleset        = engine.Ruleset
	Rule           = engine.Rule
	Counters       = engine.Counters
	Session        = engine.Session
	SessionOptions = engine.SessionOptions
	RestoreReport  = engine.RestoreReport
	Verdicts       = engine.Verdicts
)

// What a set says about one event, and how near a rule came to an alert.
type (
	Verdict       = engine.Verdict
	Term          = engine.Term
	TermField     = engine.TermField
	NearMiss      = engine.NearMiss
	NearMissStage = engine.NearMissStage
)

// The stages of a near miss, the farthest from an alert first.
const (
	MissedCondition = engine.MissedCondition
	MissedEntry     = engine.MissedEntry
	MissedBound     = engine.MissedBound
)

// Test runs of rules.
type (
	TestOptions    = ruletest.TestOptions
	Report         = ruletest.Report
	TestResult     = ruletest.TestResult
	RuleCoverage   = ruletest.RuleCoverage
	ClauseCoverage = ruletest.ClauseCoverage
)

// What Lint finds.
type (
	Finding = author.Finding
	Level   = author.Level
	Check   = author.Check
)

// The levels of findings, and how long before its end an exception is reported.
const (
	LevelError   = author.LevelError
	LevelWarning = author.LevelWarning
	ExpiresSoon  = author.ExpiresSoon
)

// Checks lists the kinds of findings.
func Checks() []Check { return author.Checks() }
