package rules

import (
	"testing"
	"time"
)

// TestLibrary runs the tests of the shipped rules and holds the rules to what
// a detection engineer expects of them.
func TestLibrary(t *testing.T) {
	dict := dictionary(t)
	files, err := Parse(Library())
	if err != nil {
		t.Fatal(err)
	}
	set, err := files.Compile(dict)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range set.Warnings() {
		t.Errorf("warning: %s", w)
	}
	for _, r := range set.Always() {
		t.Errorf("%s is evaluated for every event", r.Name)
	}
	for _, src := range files.Sources() {
		h := src.Decl.Shared()
		positive := 0
		for j := range h.Tests {
			if h.Tests[j].Positive() {
				positive++
			}
		}
		if positive < 1 || len(h.Tests)-positive < 2 {
			t.Errorf("%s: %d positive and %d negative tests, expected at least 1 and 2", h.Name, positive, len(h.Tests)-positive)
		}
	}
	report, err := RunTests(files, dict, TestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		for _, f := range r.Failures {
			t.Errorf("%s: %s: %s: %s", r.File, r.Rule, r.Test, f)
		}
		if !r.Passed() {
			for _, a := range r.Alerts[:min(len(r.Alerts), 2)] {
				t.Log(a)
			}
		}
	}
	t.Logf("%d rules, %d tests", files.Len(), len(report.Results))
}

// TestLibraryLooksBackNoFurtherThanIsRead: a source rewinds six hours by default,
// and a gateway warns of rules that look back further.
func TestLibraryLooksBackNoFurtherThanIsRead(t *testing.T) {
	files, err := Parse(Library())
	if err != nil {
		t.Fatal(err)
	}
	set, err := files.Compile(dictionary(t))
	if err != nil {
		t.Fatal(err)
	}
	if h := set.Horizon(); h > 6*time.Hour {
		for _, r := range set.Rules() {
			if own := r.LookBack(); own > 6*time.Hour {
				t.Errorf("%s: %s looks back %s", r.File, r.Name, own)
			}
		}
		t.Errorf("the library looks back %s", h)
	}
}
