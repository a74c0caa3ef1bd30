package goldentest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder is a test that notes its failures.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func TestCompare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.golden")
	t.Setenv(Variable, "")
	r := &recorder{TB: t}
	if Compare(r, path, []byte("one\n")); len(r.failures) != 1 || !strings.Contains(r.failures[0], "EDRWATCH_UPDATE=1") {
		t.Errorf("a missing file: %q", r.failures)
	}
	t.Setenv(Variable, "1")
	Compare(t, path, []byte("one\ntwo\n"))
	t.Setenv(Variable, "")
	Compare(t, path, []byte("one\ntwo\n"))
	r = &recorder{TB: t}
	if Compare(r, path, []byte("one\n2\n")); len(r.failures) != 1 || !strings.Contains(r.failures[0], "in line 2") {
		t.Errorf("another line: %q", r.failures)
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != "one\ntwo\n" {
		t.Errorf("a comparison changed the file: %q %v", have, err)
	}
}
