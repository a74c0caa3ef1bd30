package author

import (
	"fmt"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
)

// unwritten is the description of a rule whose author has not written one yet.
const unwritten = "Say in one sentence what has happened when this rule alerts."

// Scaffold returns the beginning of a rule file of a type: it loads, and its
// tests pass. It returns an error for a type that does not exist.
func Scaffold(kinds []engine.Kind, typ, name, id string) ([]byte, error) {
	kind, hint := engine.FindKind(kinds, typ)
	if kind == nil {
		return nil, fmt.Errorf("unknown rule type %q: %s", typ, hint)
	}
	head := fmt.Sprintf(`id: %s
name: %s
version: 1
kind: other
description: %s
severity: low
risk_score: 15
false_positives:
  - What looks the same and is harmless.
known_gaps:
  - What the rule cannot see.
note: |
  ## Triage
  1. What an analyst looks at first.
type: %s
`, id, event.AppendString(nil, name), unwritten, typ)
	return []byte(head + kind.Scaffold), nil
}
