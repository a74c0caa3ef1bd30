package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/goldentest"
)

// TestMisses compares what the author of a rule is told about an alert that a
// test wants and that does not come, of every type, with the golden files.
func TestMisses(t *testing.T) {
	source, err := os.ReadFile(filepath.Join("testdata", "misses.yml"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := ParseFile("misses.yml", source)
	if err != nil {
		t.Fatal(err)
	}
	report, err := RunTests(files, dictionary(t), TestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	var misses [][]*NearMiss
	for i := range report.Results {
		r := &report.Results[i]
		fmt.Fprintf(&told, "%s / %s\n", r.Rule, r.Test)
		for _, f := range r.Failures {
			if strings.HasPrefix(f, "nearest miss") {
				fmt.Fprintf(&told, "  %s\n", f)
			}
		}
		if len(r.Misses) == 0 {
			t.Errorf("%s / %s: nothing is told: %s", r.Rule, r.Test, strings.Join(r.Failures, "\n"))
		}
		misses = append(misses, r.Misses)
	}
	list, err := json.MarshalIndent(misses, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "misses.golden.txt", []byte(told.String()))
	golden(t, "misses.golden.json", append(list, '\n'))
}

// golden compares with a file of testdata, or writes it with EDRWATCH_UPDATE=1.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if goldentest.Update() {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s\nrun with EDRWATCH_UPDATE=1 where the new text is right", name, got, want)
	}
}
