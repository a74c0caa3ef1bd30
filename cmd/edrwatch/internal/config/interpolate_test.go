package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

func TestInterpolate(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"secret": " from file\n", "empty": "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := resolver{variables: map[string]string{"A": "a", "EMPTY": "", "REFERENCE": "${A}"}, directory: dir}
	f := func(written, want string) {
		t.Helper()
		node, err := strict.ParseOne("f.yml", []byte("k: '"+written+"'"))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if node, _, err = r.interpolate(node); err != nil {
			got = err.Error()
		} else {
			got, _ = node.Get("k").Scalar()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", written, got, want)
		}
	}
	f("plain", "plain")
	f("${A}", "a")
	f("x${A}y${A}", "xaya")
	f("${EMPTY}", "")
	f("${A:-b}${EMPTY:-b}${NONE:-b}${NONE:-}", "abb")
	f("${NONE:-http://h:1/}", "http://h:1/")
	f("$${A} $$ $A {A} $", "${A} $$ $A {A} $")
	f("${REFERENCE}", "${A}") // What a variable holds is not looked into.
	f("${file:secret}", "from file")
	f("Bearer ${file:"+dir+"/secret}", "Bearer from file")
	f("${NONE} ${OTHER}", "f.yml:1:5: environment variable NONE is not set (set it, or give a default: ${NONE:-text})\n"+
		"f.yml:1:13: environment variable OTHER is not set (set it, or give a default: ${OTHER:-text})")
	f("a ${A", "f.yml:1:7: reference without end (close it with }; write $${ for a plain ${)")
	f("${}", `f.yml:1:5: "" is not the name of a variable (write ${VAR}, ${VAR:-text} or ${file:/path}; write $${ for a plain ${)`)
	f("${1A}", `f.yml:1:5: "1A" is not the name of a variable (write ${VAR}, ${VAR:-text} or ${file:/path}; write $${ for a plain ${)`)
	f("${file:}", "f.yml:1:5: reference to a file without its path (write ${file:/path})")
	f("${file:missing}", "f.yml:1:5: file missing does not exist")
	f("${file:empty}", "f.yml:1:5: file empty cannot be used: reading secret: "+dir+"/empty is empty")
	f("${file:.}", "f.yml:1:5: file . cannot be used: is a directory")
}

func TestInterpolatedValuesFitAnyType(t *testing.T) {
	node, err := strict.ParseOne("f.yml", []byte("n: ${N}\nb: \"${B}\"\nz: ${Z:-}\nkey ${N}: 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	node, _, err = resolver{variables: map[string]string{"N": "12", "B": "true"}}.interpolate(node)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		N   int    `yaml:"n"`
		B   bool   `yaml:"b"`
		Z   string `yaml:"z"`
		Key int    `yaml:"key ${N}"`
	}
	if err := node.Decode(&got); err != nil || got.N != 12 || !got.B || got.Z != "" || got.Key != 1 {
		t.Errorf("%+v %v", got, err)
	}
}

// FuzzInterpolate checks that any text is either replaced or refused at a place inside of it, and that a text whose
// ${ are all escaped comes back as it was.
func FuzzInterpolate(f *testing.F) {
	for _, seed := range []string{"${A}", "$${A}", "${A:-b}", "${file:/x}", "${", "$$${A}", "}${A}${"} {
		f.Add(seed)
	}
	r := resolver{variables: map[string]string{"A": "a"}, directory: f.TempDir()}
	f.Fuzz(func(t *testing.T, text string) {
		if !strings.Contains(text, "file:") {
			n, err := r.scalar(strict.NewScalar("s", text))
			if got, ok := n.Scalar(); err == nil && !ok {
				t.Errorf("%q became %q", text, got)
			}
		}
		if strings.Contains(text, "$${") {
			return
		}
		n, err := r.scalar(strict.NewScalar("s", strings.ReplaceAll(text, "${", "$${")))
		if got, _ := n.Scalar(); err != nil || got != text {
			t.Errorf("%q became %q (%v)", text, got, err)
		}
	})
}

// FuzzParse checks that no configuration makes the loader panic, and that a good one can be printed.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yml", "testdata/bad/*.yml"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range names {
			src, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if strings.Contains(string(src), "file:") {
			return // Reads no files of the machine.
		}
		loaded, err := Parse("f.yml", src, []string{"A=a", "EDRWATCH_SINKS_S_TYPE=store", "EDRWATCH_HTTP_LISTEN=127.0.0.1:0"})
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a message")
			}
			return
		}
		var out strings.Builder
		if err := loaded.Print(&out); err != nil {
			t.Error(err)
		}
	})
}
