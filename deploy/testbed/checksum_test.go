//go:build unix

package testbed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVerifyNamesEveryFileThatIsNotAsListed(t *testing.T) {
	const sums = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae  good.jar\n" +
		"2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae  changed.jar\n" +
		"2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae  absent.jar\n"
	dir := t.TempDir()
	for name, content := range map[string]string{"good.jar": "foo", "changed.jar": "fop", "extra.jar": "foo"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := verify(dir, sums)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"changed.jar: expected SHA-256 2c26", "absent.jar: missing", "extra.jar: not in the list"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not contain %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "good.jar") {
		t.Errorf("error names the good file: %v", err)
	}
}

func TestFingerprintChangesWithContentAndName(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		sum, err := fingerprint(os.DirFS(dir), "*.go")
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	first := write("a.go", "package a")
	if write("a.txt", "ignored") != first {
		t.Error("a file that does not match changed the fingerprint")
	}
	second := write("a.go", "package b")
	third := write("b.go", "")
	if first == second || second == third {
		t.Errorf("fingerprints %s %s %s do not differ", first, second, third)
	}
}
