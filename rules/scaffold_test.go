package rules

import (
	"testing"
)

// TestScaffold loads the beginning of a rule of every type and runs its tests.
func TestScaffold(t *testing.T) {
	for _, typ := range Types() {
		src, err := Scaffold(typ, `A "new" rule: `+typ, "11111111-1111-4111-8111-111111111111")
		if err != nil {
			t.Fatal(err)
		}
		files, err := ParseFile("new.yml", src)
		if err != nil {
			t.Errorf("%s: %v", typ, err)
			continue
		}
		set, err := files.Compile(dictionary(t))
		if err != nil {
			t.Errorf("%s: %v", typ, err)
			continue
		}
		for _, w := range set.Warnings() {
			t.Errorf("%s: %s", typ, w)
		}
		report, err := RunTests(files, dictionary(t), TestOptions{})
		if err != nil || report.Passed != 2 {
			t.Errorf("%s: %d tests passed, %v: %+v", typ, report.Passed, err, report.Results)
		}
	}
	if _, err := Scaffold("mtach", "x", "y"); err == nil {
		t.Error("a type that does not exist was accepted")
	}
}
