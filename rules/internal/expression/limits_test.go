package expression

import (
	"fmt"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// TestDefinitionsAreBounded has macros and lists whose size is a product or a
// power of that of their text. They would never be done with, so that the test
// would time out, were the size not counted while they are expanded.
func TestDefinitionsAreBounded(t *testing.T) {
	dict := dictionary(t)
	macro := func(name, text string) strict.Text {
		return strict.Text{Value: text, File: name + ".yml", Line: 1, Column: 1}
	}
	power := map[string]strict.Text{"m0": macro("m0", "has(host.name)")}
	chain := map[string]strict.Text{"m0": macro("m0", "has(host.name)")}
	ring := map[string]strict.Text{}
	var all []string
	for i := range 40 {
		all = append(all, fmt.Sprintf("m%d", i))
	}
	for i, name := range all {
		if i > 0 {
			power[name] = macro(name, strings.Repeat(all[i-1]+" and ", 9)+"true")
			chain[name] = macro(name, all[i-1]+" or not "+all[i-1])
		}
		ring[name] = macro(name, strings.Join(all, " and "))
	}
	words := map[string][]string{"large": make([]string, maxWords)}
	for i := range words["large"] {
		words["large"][i] = fmt.Sprint("w", i)
	}
	twice := `host.name in large and event.action in large`
	for _, tc := range []struct {
		name, source string
		defs         Definitions
		want         string
	}{
		{"a power", "m6", Definitions{Macros: power}, "the condition has more than 600 parts with its macros"},
		{"a chain", "m39", Definitions{Macros: chain}, "macros are nested more than 8 deep"},
		{"a ring", "m0", Definitions{Macros: ring}, "macro m0 uses itself: m0 → m0"},
		{"one list in one place after another", strings.Repeat("host.name in large or ", 100) + "true", Definitions{Lists: words}, "the lists of the condition have more than 262144 words"},
		{"large lists", twice, Definitions{Lists: words}, "r.yml:1:40: the lists of the condition have more than 262144 words (split the rule)"},
	} {
		x, problems, _ := CompileWith(strict.Text{Value: tc.source, File: "r.yml", Line: 1, Column: 1}, dict, &tc.defs)
		if x != nil || len(problems) == 0 || len(problems) > 3*MaxNodes {
			t.Errorf("%s: compiled, or %d problems", tc.name, len(problems))
			continue
		}
		if got := problems[0].String(); !strings.Contains(got, tc.want) {
			t.Errorf("%s\ngot  %s\nwant %s", tc.name, got, tc.want)
		}
	}
}

// TestLargeConditionsOfMacros has macros that come to the limit and not over
// it.
func TestLargeConditionsOfMacros(t *testing.T) {
	defs := &Definitions{
		Lists:  map[string][]string{"words": {"a", "b"}},
		Macros: map[string]strict.Text{"m": {Value: strings.Repeat("host.name in words or ", 9) + "true", File: "m.yml", Line: 1, Column: 1}},
	}
	source := strings.Repeat("m and ", 9) + "true"
	x, problems, _ := CompileWith(strict.Text{Value: source, File: "r.yml", Line: 1, Column: 1}, dictionary(t), defs)
	if x == nil {
		t.Fatal(problems)
	}
}
