package rules

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/goldentest"
)

// TestReadme keeps the tables of the kinds and the shipped rules true; EDRWATCH_UPDATE=1
// rewrites them.
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
	var kinds strings.Builder
	kinds.WriteString("\n| type | it alerts when |\n|---|---|\n")
	for _, k := range Kinds() {
		fmt.Fprintf(&kinds, "| [`%s`](#%s) | %s |\n", k.Name, k.Name, k.Meaning)
	}
	src, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	want := string(src)
	for name, table := range map[string]string{"library": b.String(), "kinds": kinds.String()} {
		begin, end := "<!-- "+name+":begin -->\n", "<!-- "+name+":end -->"
		head, rest, ok := strings.Cut(want, begin)
		_, tail, also := strings.Cut(rest, end)
		if !ok || !also {
			t.Fatalf("the markers of %s are gone", name)
		}
		want = head + begin + table + "\n" + end + tail
	}
	if goldentest.Update() {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(src) != want {
		t.Error("the tables in README.md are not those of the library and the kinds; run EDRWATCH_UPDATE=1 go test ./rules -run Readme")
	}
}
