package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestVersionIsSaidAsTextAndAsJSON(t *testing.T) {
	run := func(args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		code := execute(t.Context(), args, strings.NewReader(""), &out, &errs)
		return out.String(), errs.String(), code
	}
	if out, _, code := run("--version"); code != exitOK || !strings.HasPrefix(out, "edrwatch ") || strings.Count(out, "\n") != 1 {
		t.Errorf("text: %d %q", code, out)
	}
	out, _, code := run("--version", "--output", "json")
	var build struct{ Version, Go string }
	if err := json.Unmarshal([]byte(out), &build); err != nil || code != exitOK || build.Version == "" || build.Go == "" {
		t.Errorf("json: %v %d %q", err, code, out)
	}
	if _, errs, code := run("--version", "--output", "xml"); code != exitUsage || !strings.Contains(errs, "expected text or json") {
		t.Errorf("another form: %d %q", code, errs)
	}
	if _, errs, code := run("nonsense"); code != exitUsage || !strings.Contains(errs, "unknown command") {
		t.Errorf("an unknown command: %d %q", code, errs)
	}
	if out, _, code := run(); code != exitOK || !strings.Contains(out, "demo") {
		t.Errorf("no command: %d %q", code, out)
	}
}
