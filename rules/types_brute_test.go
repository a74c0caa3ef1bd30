package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
)

// seenEvent is an event of a brute-force test.
type seenEvent struct {
	now, at time.Duration
	key     string
	value   string
	number  float64
}

// bruteRun feeds random events of three keys, some of them late by up to
// latest, and compares
// when the first alert of each key is raised with when a reference that looks
// at all events so far says so.
func bruteRun(t *testing.T, rule string, lateness, latest time.Duration, rounds int, make func(r *rand.Rand, e *seenEvent) []any, reference func(events []seenEvent) bool) {
	t.Helper()
	set := compileRules(t, dictionary(t), rule)
	r := rand.New(rand.NewPCG(11, 12))
	fired := 0
	for range rounds {
		f := newFeed(t, set, SessionOptions{Lateness: lateness})
		events := map[string][]seenEvent{}
		want, got := map[string]string{}, map[string]string{}
		now := time.Duration(0)
		for range 50 {
			now += time.Duration(1+r.IntN(150)) * time.Second
			e := seenEvent{now: now, at: now, key: pick(r, "a", "b", "c")}
			if r.IntN(3) == 0 {
				e.at = now - time.Duration(r.IntN(int(latest.Seconds())))*time.Second
			}
			fields := make(r, &e)
			f.late(now, e.at, append(fields, "agent.id", e.key)...)
			if e.at < now-lateness {
				continue
			}
			events[e.key] = append(events[e.key], e)
			if _, done := want[e.key]; !done && reference(events[e.key]) {
				want[e.key] = now.String()
			}
		}
		for i, line := range f.said() {
			alert := f.alerts[i]["edr"].(map[string]any)["alert"].(map[string]any)
			key := alert["key"].(string)
			if _, done := got[key]; !done && alert["status"] == "firing" {
				got[key], _, _ = strings.Cut(line, " ")
				fired++
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("first alerts %v, want %v\nof %v", got, want, events)
		}
	}
	if fired < rounds/2 {
		t.Errorf("only %d alerts in %d rounds: the test shows little", fired, rounds)
	}
	t.Logf("%d first alerts", fired)
}

func TestValueCountAgainstBruteForce(t *testing.T) {
	const window = 10 * time.Minute
	bruteRun(t, ruleYAML(1, "value_count", "condition: event.action == \"error\"\nfield: process.name\nwindow: 10m\nhaving: {gte: 4}"), 7*time.Minute, 9*time.Minute, 300,
		func(r *rand.Rand, e *seenEvent) []any {
			e.value = pick(r, "p", "q", "r", "s", "t", "u")
			return []any{"event.action", "error", "process.name", e.value}
		},
		func(events []seenEvent) bool {
			for _, end := range events {
				values := map[string]bool{}
				for _, e := range events {
					if e.at <= end.at && e.at > end.at-window {
						values[e.value] = true
					}
				}
				if len(values) >= 4 {
					return true
				}
			}
			return false
		})
}

func TestMetricAgainstBruteForce(t *testing.T) {
	const window = 10 * time.Minute
	for _, tc := range []struct {
		function, having string
		reached          func(sorted []float64) bool
	}{
		{"sum", "{gt: 210}", func(v []float64) bool { return total(v) > 210 }},
		{"avg", "{gte: 65, lt: 80}", func(v []float64) bool { return total(v)/float64(len(v)) >= 65 && total(v)/float64(len(v)) < 80 }},
		{"min", "{gte: 45}", func(v []float64) bool { return v[0] >= 45 }},
		{"max", "{lte: 50}", func(v []float64) bool { return v[len(v)-1] <= 50 }},
		{"p50", "{gte: 70}", func(v []float64) bool { return v[(len(v)+1)/2-1] >= 70 }},
		{"p90", "{gt: 98}", func(v []float64) bool { return v[(9*len(v)+9)/10-1] > 98 }},
	} {
		t.Run(tc.function, func(t *testing.T) {
			bruteRun(t, ruleYAML(1, "metric", "condition: event.action == \"resource-usage\"\nfield: edr.resource.cpu_pct\nmin_events: 3\nwindow: 10m\nfunction: "+tc.function+"\nhaving: "+tc.having),
				7*time.Minute, 9*time.Minute, 100,
				func(r *rand.Rand, e *seenEvent) []any {
					e.number = float64(r.IntN(101))
					return []any{"event.action", "resource-usage", "edr.resource.cpu_pct", e.number}
				},
				func(events []seenEvent) bool {
					for _, end := range events {
						var values []float64
						for _, e := range events {
							if e.at <= end.at && e.at > end.at-window {
								values = append(values, e.number)
							}
						}
						sort.Float64s(values)
						if len(values) >= 3 && tc.reached(values) {
							return true
						}
					}
					return false
				})
		})
	}
}

func total(v []float64) float64 {
	t := 0.0
	for _, f := range v {
		t += f
	}
	return t
}

// TestSequenceAgainstBruteForce tries all triples of events.
func TestSequenceAgainstBruteForce(t *testing.T) {
	const span = 12 * time.Minute
	bruteRun(t, ruleYAML(1, "sequence", `maxspan: 12m
steps:
  - {name: crash, condition: event.action == "sensor-crashed"}
  - {name: start, condition: event.action == "sensor-started", absent: true}
  - {name: error, condition: 'event.action in ["error", "host-crashed"]'}
  - {name: host crash, condition: event.action == "host-crashed"}`), 7*time.Minute, 9*time.Minute, 400,
		func(r *rand.Rand, e *seenEvent) []any {
			e.value = pick(r, "sensor-crashed", "sensor-started", "sensor-started", "error", "host-crashed", "other")
			return []any{"event.action", e.value}
		},
		func(arrived []seenEvent) bool {
			events := slices.Clone(arrived)
			slices.SortStableFunc(events, func(a, b seenEvent) int { return int(a.at - b.at) })
			for i := range events {
				for j := i + 1; j < len(events); j++ {
					for k := j + 1; k < len(events); k++ {
						a, b, c := events[i].value, events[j].value, events[k].value
						if a != "sensor-crashed" || b != "error" && b != "host-crashed" || c != "host-crashed" || events[k].at-events[i].at > span {
							continue
						}
						if !slices.ContainsFunc(events[i+1:j], func(e seenEvent) bool { return e.value == "sensor-started" }) {
							return true
						}
					}
				}
			}
			return false
		})
}

// TestSpikeAgainstBruteForce counts in tumbling windows.
func TestSpikeAgainstBruteForce(t *testing.T) {
	const window = 5 * time.Minute
	number := func(at time.Duration) int64 { return (start + int64(at)) / int64(window) }
	bruteRun(t, ruleYAML(1, "spike", "condition: event.action == \"error\"\nwindow: 5m\nhistory: 4\nmin_history: 2\ntimes: 2\nmin_events: 3"), 7*time.Minute, 9*time.Minute, 300,
		func(_ *rand.Rand, _ *seenEvent) []any { return []any{"event.action", "error"} },
		func(events []seenEvent) bool {
			counts := map[int64]int64{}
			first := number(events[0].at)
			for _, e := range events {
				counts[number(e.at)]++
				first = min(first, number(e.at))
			}
			w := number(events[len(events)-1].at)
			past, known := int64(0), int64(0)
			for i := max(w-4, first+1); i < w; i++ {
				past += counts[i]
				known++
			}
			return known >= 2 && counts[w] >= 3 && counts[w]*known >= 2*past
		})
}

// TestChangeAgainstBruteForce compares with the latest event of the key.
func TestChangeAgainstBruteForce(t *testing.T) {
	bruteRun(t, ruleYAML(1, "change", "field: edr.mode\nfrom: [kernel, ebpf]\nto: [user]\nwindow: 20m"), 9*time.Minute, 9*time.Minute, 300,
		func(r *rand.Rand, e *seenEvent) []any {
			e.value = pick(r, "kernel", "ebpf", "user", "user", "unknown")
			return []any{"edr.mode", e.value}
		},
		func(events []seenEvent) bool {
			last := events[len(events)-1]
			var before *seenEvent
			for i := range events[:len(events)-1] {
				if before == nil || events[i].at >= before.at {
					before = &events[i]
				}
			}
			return before != nil && last.at >= before.at && last.at-before.at < 20*time.Minute && last.value == "user" &&
				(before.value == "kernel" || before.value == "ebpf")
		})
}

// TestNewTermsAgainstBruteForce looks for the value in all events before.
func TestNewTermsAgainstBruteForce(t *testing.T) {
	bruteRun(t, ruleYAML(1, "new_terms", "condition: event.action == \"error\"\nfields: [process.name]\nwindow: 40m\nlearn: 15m"), 7*time.Minute, 9*time.Minute, 300,
		func(r *rand.Rand, e *seenEvent) []any {
			e.value = pick(r, "p", "q", "r", "s", "t", "u")
			return []any{"event.action", "error", "process.name", e.value}
		},
		func(events []seenEvent) bool {
			last := events[len(events)-1]
			since := last.at
			for _, e := range events {
				since = min(since, e.at)
			}
			if last.at-since < 15*time.Minute {
				return false
			}
			return !slices.ContainsFunc(events[:len(events)-1], func(e seenEvent) bool {
				return e.value == last.value && last.at-e.at < 40*time.Minute
			})
		})
}

// TestUnorderedSequenceAgainstBruteForce looks for a window with all steps.
func TestUnorderedSequenceAgainstBruteForce(t *testing.T) {
	bruteRun(t, ruleYAML(1, "sequence", `maxspan: 8m
ordered: false
steps:
  - {name: crash, condition: event.action == "sensor-crashed"}
  - {name: error, condition: event.action == "error"}
  - {name: host crash, condition: event.action == "host-crashed"}`), 7*time.Minute, 9*time.Minute, 300,
		func(r *rand.Rand, e *seenEvent) []any {
			e.value = pick(r, "sensor-crashed", "error", "host-crashed", "other", "other")
			return []any{"event.action", e.value}
		},
		func(events []seenEvent) bool {
			for _, end := range events {
				values := map[string]bool{}
				for _, e := range events {
					if e.value != "other" && e.at <= end.at && e.at >= end.at-8*time.Minute {
						values[e.value] = true
					}
				}
				if len(values) == 3 {
					return true
				}
			}
			return false
		})
}
