package expression

import (
	"runtime"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// TestCostIsRefused has conditions that a single event could keep busy for
// seconds or longer. Each is refused where it stands, with what was found and
// what is allowed.
func TestCostIsRefused(t *testing.T) {
	dict := dictionary(t)
	join := strings.Repeat(" | split(host.name, 9) | join(host.name)", 20)
	for _, tc := range []struct{ name, source, want string }{
		{"a pattern of a great size", `has(host.name) and host.name matches "(\\w{100}){9}\\pL{200}"`,
			"r.yml:1:38: the pattern makes a program of 1118 instructions, at most 1000 are allowed (x{1,100} counts as a hundred x"},
		{"a long pattern", `host.name matches "` + strings.Repeat("a|", 2049) + `b"`, "r.yml:1:19: the pattern has 4099 bytes, at most 4096 are allowed (split it"},
		{"many large patterns", strings.Repeat(`host.name matches "\\d{900}x" or `, 3) + "has(host.name)", "r.yml:1:77: one event could cost more than 134217728 steps, too many with this part"},
		{"a pattern out of the event", `host.name matches host.id`, "r.yml:1:19: the pattern after matches has to be a constant string"},
		{"a pattern out of the event in a loop", `any(process.args, # matches host.name)`, "r.yml:1:29: the pattern after matches has to be a constant string"},
		{"a large pattern in a loop", `any(process.args, # matches "\\d{1000}a{1000}")`, "the pattern makes a program of 2000 instructions"},
		{"a loop over each character for each", `any(split(host.name, ""), len(split(host.name, "")) > 1 and host.name + host.id + host.id contains "a" and host.id contains host.name)`,
			"one event could cost more than 134217728 steps"},
		{"texts looked up in texts", `len(trim(host.name, host.id)) > 3`, "one event could cost more than 134217728 steps"},
		{"patterns that begin again at each character", `like(host.name, "*` + strings.Repeat("a", 3000) + `*")`, "r.yml:1:17: one event could cost more than 134217728 steps"},
		{"single characters of any kind", `like(host.name, "*` + strings.Repeat("?", 3000) + `a*")`, "one event could cost more than 134217728 steps"},
		{"a variable in a loop", `any(process.args, (let a = # + #; a + a) == host.name)`, "let is not supported in a condition"},
		{"a loop in a loop", `all(process.args, count(process.args, # == "x") > 1)`, "loops inside loops are not allowed"},
		{"a product of all joins", `len(host.name` + join + `) > 1 and any(process.args, host.name` + join + ` contains # and host.id` + join + " contains #)", "one event could cost more than"},
	} {
		x, problems, _ := Compile(strict.Text{Value: tc.source, File: "r.yml", Line: 1, Column: 1}, dict)
		if x != nil || len(problems) == 0 {
			t.Errorf("%s: compiled, %d steps", tc.name, x.Steps())
			continue
		}
		if got := problems[0].String(); !strings.Contains(got, tc.want) {
			t.Errorf("%s\ngot  %s\nwant %s", tc.name, got, tc.want)
		}
	}
}

// hostile is an event whose author wants to be expensive.
func hostile(dict *ecs.Dictionary) *event.Event {
	e := event.New(dict)
	long := strings.Repeat("a", 1<<20)
	for name, v := range map[string]event.Value{
		"host.name": event.String(long), "host.id": event.String(strings.Repeat("é", 1<<19)), "agent.version": event.String(strings.Repeat("1.", 1<<19)),
		"event.action": event.String(long[:maxText] + "b"), "host.ip": event.StringList([]string{long, "::1"}),
		"process.args": event.StringList(strings.Split(long[:1<<18], "")), "event.category": event.StringList([]string{long, long}),
	} {
		if id, ok := dict.Lookup(name); ok {
			e.Set(id, v)
		}
	}
	return e
}

// maxGrowth is what evaluating a condition may allocate in all, in bytes: the
// texts that expr's machine makes, each of maxText at the most.
const maxGrowth = 64 << 20

// growth is what evaluating allocates.
func growth(x *Expression, e *event.Event) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	x.Eval(&Env{Event: e})
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestHostileEvents has conditions that are allowed, on events made to be
// expensive for them: texts of a megabyte, lists of a quarter of a million
// entries.
func TestHostileEvents(t *testing.T) {
	dict := dictionary(t)
	e := hostile(dict)
	for _, tc := range []struct {
		source string
		want   Truth
	}{
		{`any(split(host.name, ""), # == "b")`, False},
		{`count(process.args, # == "a") == 256`, True},
		{`count(split(host.name, ""), true) == 256`, True},
		{`len(join(split(host.name, ""), host.name)) == 65536`, True},
		{`len(host.name | split("") | join(host.name) | split("") | join(host.name)) == 65536`, True},
		{`len(join([host.name, host.name])) == 65536`, True},
		{`host.name matches "^(a?){100}b"`, False},
		{`host.name matches "^a+$"`, True},
		{`like(host.name, "*aab*", "*a?b*")`, False},
		{`like(event.action, "*b*")`, False}, // Stands behind what is searched,
		{`like(event.action, "*a*b")`, True}, // but an end costs nothing.
		{`event.action contains "b"`, True},  // Nor does one look at each byte.
		{`"b" in event.category`, False},
		{`lower(host.name) startsWith "aa"`, True},
		{`cidrMatch(host.ip, "::/0")`, True},
		{`trim(host.name, "a") == ""`, True},
		{`any(process.args, # matches "b+")`, False},
	} {
		x, problems, _ := Compile(strict.Text{Value: tc.source, File: "r.yml", Line: 1, Column: 1}, dict)
		if x == nil {
			t.Errorf("%s: %v", tc.source, problems)
			continue
		}
		if got := x.Eval(&Env{Event: e}); got != tc.want {
			t.Errorf("%s is %s, want %s", tc.source, got, tc.want)
		}
		if bytes := growth(x, e); bytes > maxGrowth {
			t.Errorf("%s allocates %d bytes", tc.source, bytes)
		}
	}
}

// TestOverlap compares the bound of a search for a piece with a count of the
// comparisons, over texts that are made of the piece's own beginnings.
func TestOverlap(t *testing.T) {
	for _, word := range []string{"a", "aaaa", "abab", "aabaab", "sense", "windows defender", "aaaaaaab", "abcabcabd"} {
		p := piece([]rune(word))
		for n := 1; n <= len(p); n++ {
			text, compared := strings.Repeat(word[:n], 400/n), 0
			for i := range text {
				for j, want := range p {
					if i+j >= len(text) {
						break
					}
					if compared++; rune(text[i+j]) != want {
						break
					}
				}
			}
			if most := len(text) * (1 + p.overlap() + 1); compared > most {
				t.Errorf("%q in %q: %d comparisons, bound %d", word, text[:20], compared, most)
			}
		}
	}
}

// FuzzCost asserts that what compiles stays below the limits, in the steps that
// it may take and in what it allocates on an event made to be expensive.
func FuzzCost(f *testing.F) {
	for _, seed := range []string{
		`any(split(host.name, ""), # in split(host.id, ""))`, `len(join(split(host.name, ""), host.name)) > 5`,
		`host.name matches "(a?){30}(a?){30}a{30}"`, `like(host.name, "*aaaa*aaab*", "*a??b*")`,
		`(host.name | split("") | join(host.name) | split("") | join(host.name) | len()) > 1`,
		`any([host.name, trim(host.name)], # + # + # == "x" and host.id contains #)`, `trim(host.name, host.id) == lower(upper(host.id))`,
		`all(process.args, string(process.args) contains host.name)`, `count(process.args, #[1:3] matches "a{9}") > 2 ? true : first(process.args) == last(split(host.name, "a"))`,
		`cidrMatch(host.ip, "10.0.0.0/8") or version(agent.version) < version("7.11")`, `host.name in process.args`,
	} {
		f.Add(seed)
	}
	dict := dictionary(f)
	e := hostile(dict)
	f.Fuzz(func(t *testing.T, source string) {
		x, _, _ := Compile(strict.Text{Value: source, File: "r.yml", Line: 1, Column: 1}, dict)
		if x == nil {
			return
		}
		if x.Steps() > maxSteps {
			t.Errorf("%q may take %d steps", source, x.Steps())
		}
		if bytes := growth(x, e); bytes > maxGrowth {
			t.Errorf("%q allocates %d bytes", source, bytes)
		}
	})
}
