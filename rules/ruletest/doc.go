// Package ruletest runs the tests that rule files hold: on a virtual clock, with
// the engine that runs in production, plain and in metamorphic variants, and
// counts what parts of conditions they cover.
package ruletest
