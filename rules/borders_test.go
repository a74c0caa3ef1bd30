package rules

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// border is a rule with events at the edges of what README.md promises, and
// the alerts that follow from it by hand.
type border struct {
	name   string
	rule   string // Of a type; the rest of the file.
	events string // A line each: arrival, @time where it happened at another, field=value; a list has commas.
	end    string // Where the clock goes in the end; "" leaves it.
	want   string // A line each: time, status, key, count and start.
}

// play parses the events and says what the alerts are.
func (b *border) play(t *testing.T, lateness time.Duration) (got []string) {
	t.Helper()
	typ, rest, _ := strings.Cut(b.rule, "\n")
	f := newFeed(t, compileRules(t, dictionary(t), ruleYAML(1, typ, rest)), SessionOptions{Lateness: lateness})
	parse := func(s string) time.Duration {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for line := range strings.Lines(b.events) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		at := parse(words[0])
		happened := at
		var fields []any
		for _, w := range words[1:] {
			if name, value, isField := strings.Cut(w, "="); !isField {
				happened = parse(strings.TrimPrefix(w, "@"))
			} else if number, err := strconv.ParseFloat(value, 64); err == nil && strings.HasSuffix(name, "_pct") {
				fields = append(fields, name, number)
			} else if strings.Contains(value, ",") {
				fields = append(fields, name, strings.Split(value, ","))
			} else {
				fields = append(fields, name, value)
			}
		}
		f.late(at, happened, fields...)
	}
	if b.end != "" {
		f.advance(parse(b.end))
	}
	for i, line := range f.said() {
		words := strings.Fields(line) // time status rule 1 key… count
		from, err := time.Parse(time.RFC3339Nano, f.alerts[i]["event"].(map[string]any)["start"].(string))
		if err != nil {
			t.Fatal(err)
		}
		key := strings.Join(words[4:len(words)-1], " ")
		got = append(got, strings.Join([]string{words[0], words[1], key, "count", words[len(words)-1], "from", time.Duration(from.UnixNano() - start).String()}, " "))
	}
	return got
}

func TestBorders(t *testing.T) {
	for _, b := range borders() {
		t.Run(b.name, func(t *testing.T) {
			var want []string
			for line := range strings.Lines(b.want) {
				if line = strings.TrimSpace(line); line != "" {
					want = append(want, line)
				}
			}
			if got := b.play(t, 0); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("alerts\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
			}
		})
	}
}
