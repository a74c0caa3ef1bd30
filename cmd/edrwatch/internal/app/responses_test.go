package app

import (
	"io"
	"slices"
	"testing"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/api"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
)

// TestRequiredResponsesDecideReadiness: responses that hold offsets back are
// what an operator has to hear of when they fail; others are not.
func TestRequiredResponsesDecideReadiness(t *testing.T) {
	for _, required := range []bool{true, false} {
		loaded, err := config.Parse("everything.yaml", []byte(everything), []string{"TOKEN=t", "SECRET=sixteen or more letters", "DIR=" + t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		loaded.Config.Responses.Required = required
		a, err := New(loaded.Config, Options{Logger: discard(), Stdout: io.Discard, Version: "test"})
		if err != nil {
			t.Fatal(err)
		}
		checks := a.readiness()
		i := slices.IndexFunc(checks, func(c api.Check) bool { return c.Name == responsesName })
		if (i >= 0) != required {
			t.Errorf("required %t: the check is number %d", required, i)
		}
		if i >= 0 && a.runner.Health()[len(a.cfg.Sinks)].Name != responsesName {
			t.Errorf("the check looks at %s", a.runner.Health()[len(a.cfg.Sinks)].Name)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}
