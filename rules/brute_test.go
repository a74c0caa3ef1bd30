package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// TestThresholdAgainstBruteForce compares when the first alert of each key is
// raised with a plain count over all windows that the new event is in, for
// random events out of order.
func TestThresholdAgainstBruteForce(t *testing.T) {
	const window, lateness, low = 10 * time.Minute, 5 * time.Minute, 4
	set := compileRules(t, dictionary(t), ruleYAML(1, "threshold", fmt.Sprintf("condition: event.action == \"error\"\nwindow: %s\nhaving: {gte: %d}", "10m", low)))
	r := rand.New(rand.NewPCG(5, 6))
	fired := 0
	for range 300 {
		f := newFeed(t, set, SessionOptions{Lateness: lateness})
		times := map[string][]time.Duration{}
		want := map[string]string{}
		now := time.Duration(0)
		for range 60 {
			now += time.Duration(r.IntN(120)) * time.Second
			happened := now - time.Duration(r.IntN(7*60))*time.Second
			key := pick(r, "a", "b", "c")
			f.late(now, happened, "event.action", "error", "agent.id", key)
			if happened < now-lateness {
				continue
			}
			times[key] = append(times[key], happened)
			if _, done := want[key]; !done && reached(times[key], happened, window, low) {
				want[key] = now.String()
			}
		}
		got := map[string]string{}
		for i, line := range f.said() {
			alert := f.alerts[i]["edr"].(map[string]any)["alert"].(map[string]any)
			key := alert["key"].(string)
			if _, done := got[key]; !done && alert["status"] == "firing" {
				var at, status string
				if _, err := fmt.Sscan(line, &at, &status); err != nil {
					t.Fatal(err)
				}
				got[key] = at
				fired++
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("first alerts %v, want %v", got, want)
		}
	}
	t.Logf("%d first alerts", fired)
}

// reached reports whether a window (end-window, end] that ends at an event and
// holds the new one has enough events.
func reached(times []time.Duration, fresh, window time.Duration, low int) bool {
	for _, end := range times {
		if fresh > end || fresh <= end-window {
			continue
		}
		n := 0
		for _, at := range times {
			if at <= end && at > end-window {
				n++
			}
		}
		if n >= low {
			return true
		}
	}
	return false
}

// TestSessionsInParallel runs sessions of one set at once; with -race it shows
// that they share nothing that moves.
func TestSessionsInParallel(t *testing.T) {
	dict := dictionary(t)
	set := compileRules(t, dict, ruleYAML(1, "match", `condition: 'any(event.category, # startsWith "pro") or trim(host.name) endsWith "1.example.com"'`)+
		ruleYAML(2, "threshold", "condition: host.name matches \"^host-[0-9]\"\nwindow: 1h\nhaving: {gte: 2}"))
	var results [4][]string
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() {
			s := set.NewSession(SessionOptions{})
			defer s.Close()
			for n, e := range benchEvents(dict)[:200] {
				s.Detect(start+int64(n), e, func(a *event.Event) { results[i] = append(results[i], string(a.AppendJSON(nil))) })
			}
		})
	}
	group.Wait()
	for i := range results {
		if len(results[i]) < 100 || !slices.Equal(results[i], results[0]) {
			t.Errorf("session %d raised %d alerts, the first %d", i, len(results[i]), len(results[0]))
		}
	}
	if c := set.Counters()[0]; c.Candidates == 0 || c.Keys != 0 {
		t.Errorf("counters after the end: %+v", c)
	}
}
