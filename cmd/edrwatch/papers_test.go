package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// awaited are files that papers name and that come with changes on their way.
// One that has come must leave the list.
var awaited = []string{
	"rules/DEVELOPING.md",
	"pipeline/pacer.go", "pipeline/pace_member.go", "pipeline/paced.go", "pipeline/steps.go", "pipeline/lockstep.go", "pipeline/bulletin.go",
}

var (
	link     = regexp.MustCompile(`\]\(([^)#: ]*)(#[^) ]*)?\)`)
	codePath = regexp.MustCompile("`((?:cmd|pipeline|rules|sinks|sources|mappings|deploy|\\.github|\\.ci)/[A-Za-z0-9_./-]+)`")
	testName = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	goFile   = regexp.MustCompile("`([a-z_]+\\.go)`")
)

// papers are the documents for those who change or judge the program.
var papers = []string{".github/CONTRIBUTING.md", ".github/SECURITY.md", ".github/CHANGELOG.md", "pipeline/DESIGN.md", "README.md"}

// TestPapersNameWhatExists holds the links, paths and tests that papers name
// against the repository.
func TestPapersNameWhatExists(t *testing.T) {
	tests := testNames(t)
	for _, paper := range papers {
		text := read(t, paper)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target := paper
			if m[1] != "" {
				target = path.Join(path.Dir(paper), m[1])
			}
			switch {
			case !present(target) && !slices.Contains(awaited, target):
				t.Errorf("%s links to %s, which does not exist", paper, target)
			case m[2] != "" && strings.HasSuffix(target, ".md") && !slices.Contains(anchors(read(t, target)), m[2]):
				t.Errorf("%s links to %s%s, which has no such heading", paper, target, m[2])
			}
		}
		for _, m := range codePath.FindAllStringSubmatch(text, -1) {
			name := strings.TrimSuffix(m[1], "/")
			if dir, test, ok := strings.Cut(name, "."); ok && testName.MatchString(test) {
				if !tests[dir+"."+test] {
					t.Errorf("%s names %s, and there is no such test", paper, name)
				}
				continue
			}
			if !present(name) && !slices.Contains(awaited, name) {
				t.Errorf("%s names %s, which does not exist", paper, name)
			}
		}
		for _, name := range testName.FindAllString(text, -1) {
			if !tests[name] && name != "TestMain" {
				t.Errorf("%s names %s, and there is no such test", paper, name)
			}
		}
	}
	walkSources(t, ".md", func(name string, src []byte) {
		if found := regexp.MustCompile("go test [^`\n]*-update\\b").Find(src); found != nil {
			t.Errorf("%s says %q: golden files are written with EDRWATCH_UPDATE=1 go test", name, found)
		}
	})
	for _, name := range awaited {
		if present(name) {
			t.Errorf("%s has come: take it out of the list", name)
		}
	}
}

// testNames are the names of all tests, with and without their folder.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	add := func(name string, src []byte) {
		for _, m := range declared.FindAllSubmatch(src, -1) {
			names[string(m[1])], names[path.Dir(name)+"."+string(m[1])] = true, true
		}
	}
	walkSources(t, "_test.go", add)
	checks, err := filepath.Glob("../../deploy/checks/*_test.go") // a module of its own
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range checks {
		add("deploy/checks/"+filepath.Base(file), []byte(read(t, "deploy/checks/"+filepath.Base(file))))
	}
	return names
}

// TestFileMapIsWhole holds the file map of the pipeline's design paper against
// its folder.
func TestFileMapIsWhole(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "pipeline/DESIGN.md"), "\n## File map\n")
	section, _, _ = strings.Cut(section, "\nOutside:")
	var listed []string
	for _, m := range goFile.FindAllStringSubmatch(section, -1) {
		listed = append(listed, m[1])
		if name := "pipeline/" + m[1]; !present(name) && !slices.Contains(awaited, name) {
			t.Errorf("the file map names %s, which does not exist", name)
		}
	}
	files, err := filepath.Glob("../../pipeline/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := filepath.Base(file); !strings.HasSuffix(name, "_test.go") && !slices.Contains(listed, name) {
			t.Errorf("pipeline/%s is missing in the file map of pipeline/DESIGN.md", name)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func present(name string) bool {
	_, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(name)))
	return err == nil
}

// anchors are those that GitHub gives to the headings of a document.
func anchors(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		heading := strings.TrimLeft(line, "#")
		if heading == line || !strings.HasPrefix(heading, " ") {
			continue
		}
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading))
		all = append(all, "#"+anchor)
	}
	return all
}
