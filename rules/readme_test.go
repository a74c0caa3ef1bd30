package rules

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/goldentest"
)

// TestReadme keeps the table of the shipped rules true; -update rewrites it.
func TestReadme(t *testing.T) {
	files, err := Parse(Library())
	if err != nil {
		t.Fatal(err)
	}
	set, err := files.Compile(dictionary(t))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("\n| rule | kind | severity | type | what it finds |\n|---|---|---|---|---|\n")
	for _, r := range set.Rules() {
		sentence, _, _ := strings.Cut(r.Description, ". ")
		fmt.Fprintf(&b, "| [%s](library/%s) | `%s` | %s | %s | %s |\n", r.Name, r.File, r.Kind, r.Severity, r.Type, strings.TrimSuffix(strings.TrimSpace(sentence), "."))
	}
	src, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- library:begin -->\n", "<!-- library:end -->"
	head, rest, ok := strings.Cut(string(src), begin)
	_, tail, also := strings.Cut(rest, end)
	if !ok || !also {
		t.Fatal("the markers are gone")
	}
	want := head + begin + b.String() + "\n" + end + tail
	if goldentest.Update() {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(src) != want {
		t.Error("the table in README.md is not that of the library; run EDRWATCH_UPDATE=1 go test ./rules -run Readme")
	}
}
