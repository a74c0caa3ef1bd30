package expression

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// TestLikeAgainstRegexp compares patterns with the regular expressions that
// they stand for, over random texts.
func TestLikeAgainstRegexp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	letters := []string{"a", "A", "b", "B", "ä", "Ä", `\`, ".", "*", "?"}
	text := func(n int) string {
		var b strings.Builder
		for range r.IntN(n) {
			b.WriteString(letters[r.IntN(len(letters))])
		}
		return b.String()
	}
	hits := 0
	for range 200_000 {
		pattern, subject := text(7), text(9)
		var re strings.Builder
		re.WriteString("(?is)^")
		for i := 0; i < len(pattern); i++ {
			switch c := pattern[i]; {
			case c == '\\' && i+1 < len(pattern) && strings.ContainsRune(`*?\`, rune(pattern[i+1])):
				i++
				re.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
			case c == '*':
				re.WriteString(".*")
			case c == '?':
				re.WriteString(".")
			case c >= 0x80:
				re.WriteString(pattern[i : i+2])
				i++
			default:
				re.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
			}
		}
		want := regexp.MustCompile(re.String() + "$").MatchString(subject)
		p := parsePattern(pattern)
		if got := p.matches(subject); got != want {
			t.Fatalf("like(%q, %q) = %v, want %v as %s", subject, pattern, got, want, re.String())
		}
		if want {
			hits++
		}
	}
	if hits < 1000 {
		t.Errorf("only %d matches", hits)
	}
}

func BenchmarkLike(b *testing.B) {
	p := parsePattern(`*\svchost.exe -k*defrag*`)
	for b.Loop() {
		p.matches(`C:\Windows\System32\svchost.exe -k netsvcs -p -s Schedule`)
	}
}
