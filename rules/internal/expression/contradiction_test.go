package expression

import (
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// TestContradictions pins which conditions are said to be never true, or to
// have a side that makes no difference, and which are left alone.
func TestContradictions(t *testing.T) {
	dict := dictionary(t)
	for _, tc := range []struct{ source, want string }{
		{`agent.id == "x" and agent.id == "y"`, `r.yml:1:21: the condition can never be true: agent.id == "x" and agent.id == "y" cannot both be true`},
		{`agent.id == "x" and agent.id != "x"`, `cannot both be true`},
		{`agent.id == "x" and not has(agent.id)`, `cannot both be true`},
		{`agent.id in ["x", "y"] and agent.id startsWith "z"`, `cannot both be true`},
		{`agent.id in ["x", "y"] and agent.id not in ["y", "x"]`, `cannot both be true`},
		{`edr.restart.count > 5 and edr.restart.count < 5`, `cannot both be true`},
		{`edr.restart.count > 5 and edr.restart.count <= 5`, `cannot both be true`},
		{`edr.restart.count == 3 and 4 < edr.restart.count`, `cannot both be true`},
		{`not (agent.id != "x" or agent.id == "x")`, `cannot both be true`},
		{`host.name matches "^a" and not (host.name matches "^a")`, `its negation`},
		{`lower(host.name) == "SRV"`, `other case`},
		{`lower(host.name) in ["srv", "SRV"]`, ``},
		{`quiet and agent.id == "y"`, `r.yml:1:11: the condition can never be true`},
		{`agent.id == "z" or agent.id == "x" and agent.id == "y"`, `r.yml:1:40: agent.id == "x" and agent.id == "y" can never be true`},
		{`agent.id == "x" or agent.id in ["x", "y"]`, `agent.id == "x" makes no difference: whenever it is true, agent.id in ["x", "y"] is true as well`},
		{`edr.restart.count > 5 or edr.restart.count > 7`, `edr.restart.count > 7 makes no difference`},
		{`has(agent.id) or agent.id == "x" and host.name == "h"`, `makes no difference`},
		{`event.category == "host" and event.category == "process"`, ``}, // Holds several values.
		{`edr.restart.count >= 5 and edr.restart.count <= 5`, ``},
		{`agent.id == "x" and host.name == "y"`, ``},
		{`agent.id == "x" or agent.id == "y"`, ``},
		{`agent.id == "x" and (agent.id == "y" or host.name == "h")`, ``}, // The part inside is not looked into.
	} {
		defs := &Definitions{Macros: map[string]strict.Text{"quiet": {Value: `agent.id == "x"`}}}
		x, problems, warnings := CompileWith(strict.Text{Value: tc.source, File: "r.yml", Line: 1, Column: 1}, dict, defs)
		if x == nil {
			t.Errorf("%s: %v", tc.source, problems)
			continue
		}
		switch {
		case tc.want == "" && len(warnings) > 0:
			t.Errorf("%s: unexpected %s", tc.source, warnings[0])
		case tc.want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0].String(), tc.want)):
			t.Errorf("%s: got %v, want %s", tc.source, warnings, tc.want)
		}
	}
}
