package sigma_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/rules/sigma"
)

// maxGrowth is what the conversion of a file of a megabyte may allocate.
const maxGrowth = 512 << 20

// TestLimits has rules that say little and mean much. They are refused with
// place and number before they are written out.
func TestLimits(t *testing.T) {
	dict := dictionary(t)
	searches := func(n int, line string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "  s%d: {%s}\n", i, line)
		}
		return b.String()
	}
	detection := func(body, condition string) string {
		return header + "detection:\n" + body + "  condition: " + condition + "\n"
	}
	values := "CommandLine|contains: [" + strings.Repeat("abcdefgh, ", 2000) + "z]"
	for _, tc := range []struct{ name, src, want string }{
		{"searches × conditions", detection(searches(5, values), strings.Repeat("1 of s* or ", 100)+"s0"),
			":9:7: the rule comes to more than 1048576 bytes of condition, too many with this part: name fewer searches in the condition, or give them fewer values"},
		{"searches of patterns", detection(searches(3000, "EventID: 1"), strings.Repeat("1 of them or ", 1000)+"s0"), "the condition means more than 4096 searches with \"them\""},
		{"a long condition", detection(searches(1, "EventID: 1"), strings.Repeat("s0 or ", 4000)+"s0"), "the condition has 24002 bytes, at most 16384 are allowed"},
		{"parentheses", detection(searches(1, "EventID: 1"), strings.Repeat("(", 100)+"s0"+strings.Repeat(")", 100)), "the condition is nested more than 50 deep"},
		{"many conditions", detection(searches(1, "EventID: 1"), "["+strings.Repeat("s0, ", 65)+"s0]"), "detection has 66 conditions, at most 64 are allowed: split the rule"},
		{"dashes", detection(searches(1, "CommandLine|contains|windash: '"+strings.Repeat("-a ", 20)+"'"), "s0"), "windash makes more than 256 variants of the value"},
		{"a long value", detection(searches(1, "CommandLine|windash|base64offset|contains: '"+strings.Repeat("-", 20000)+"'"), "s0"), "the value has 20000 bytes, at most 16384 are allowed"},
		{"values × variants", detection(searches(1, "CommandLine|contains|windash|base64offset: ["+strings.Repeat("-aaaa -bbbb, ", 20000)+"x]"), "s0"),
			"the rule comes to more than 1048576 bytes of condition"},
		{"a nest of lists", detection("  s0: "+strings.Repeat("[", 31)+strings.Repeat("]", 31)+"\n", "s0"), "nested more than 32 levels deep"},
		{"a correlation of copies", header + "name: a\ndetection:\n" + searches(1, values) + "  condition: s0\n---\ntitle: c\ncorrelation:\n  type: temporal\n  rules: [" +
			strings.Repeat("a, ", 1000) + "a]\n  timespan: 5m\n", "the rule comes to more than 1048576 bytes of condition"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := sigma.Convert("s.yml", []byte(tc.src), sigma.Options{Dictionary: dict})
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "s.yml:") {
			t.Errorf("%s\ngot  %.300v\nwant %s", tc.name, err, tc.want)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > maxGrowth {
			t.Errorf("%s: allocates %d MiB", tc.name, grown>>20)
		}
	}
}
