package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// TestShortageIsTold forgets a key with an open alert at a limit: the alert
// ends, a document says that keys are forgotten, another when that is over.
func TestShortageIsTold(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "threshold", "condition: event.action == \"error\"\nwindow: 1d\nhaving: {gte: 2}"))
	for limit, o := range map[string]SessionOptions{
		"rules.max_keys":  {MaxKeys: 10},
		"rules.max_state": {MaxState: 10 * 360},
	} {
		f := newFeed(t, set, o)
		f.send(0, "event.action", "error", "agent.id", "first")
		f.send(time.Second, "event.action", "error", "agent.id", "first")
		for i := range 12 {
			f.send(time.Minute+time.Duration(i), "event.action", "error", "agent.id", fmt.Sprint("a", i))
		}
		f.advance(2 * time.Hour)
		got := f.said()
		want := []string{
			"1s firing rule 1 first 2",
			"1m0.000000009s resolved rule 1 first 2",
			"1m0.000000009s firing rule 1 memory 1",
			"1h1m0.000000011s resolved rule 1 memory 3",
		}
		if limit == "rules.max_state" && len(got) == len(want) {
			// What a key weighs is not this test's matter.
			for i := range got {
				_, got[i], _ = strings.Cut(got[i], " ")
				_, want[i], _ = strings.Cut(want[i], " ")
			}
			got[3], want[3] = got[3][:len(got[3])-1], want[3][:len(want[3])-1]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", limit, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		document := f.alerts[2]["edr"].(map[string]any)["alert"].(map[string]any)
		if document["evidence"].(map[string]any)["limit"] != limit || document["scope"] != "pipeline" {
			t.Errorf("%s: %v", limit, document)
		}
		f.s.Close()
	}
	c := set.Counters()[0]
	if c.Evicted != 3 || c.Relieved == 0 || c.Keys != 0 || c.Bytes != 0 {
		t.Errorf("%+v", c)
	}
}

// TestMaxStateHoldsAndIsDeterministic runs many keys of several rules through a
// session whose state is bounded, with and without restarts from snapshots.
func TestMaxStateHoldsAndIsDeterministic(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "threshold", "condition: has(edr.state)\nwindow: 1h\nhaving: {gte: 5}")+
		ruleYAML(2, "value_count", "condition: has(edr.state)\nfield: agent.version\nwindow: 1h\nhaving: {gte: 4}")+
		ruleYAML(3, "change", "field: edr.state\nwindow: 1d\nsuppress: 1h")+
		ruleYAML(4, "silence", "condition: has(edr.state)\nafter: 10m"))
	const limit = 72 << 10
	run := func(every int) (list []string) {
		r := rand.New(rand.NewPCG(1, 2))
		s := set.NewSession(SessionOptions{MaxState: limit})
		e := event.New(set.Dictionary())
		emit := func(a *event.Event) { list = append(list, string(a.AppendJSON(nil))) }
		for i := range 5000 {
			e.Reset()
			now := start + int64(i)*int64(time.Second)
			agent := r.IntN(40)
			if i%3 == 0 {
				agent = 40 + i%400
			}
			fill(t, e, "edr.state", pick(r, "protecting", "disabled"), "agent.id", fmt.Sprint("agent-", agent), "agent.version", fmt.Sprint("7.", r.IntN(9)), "event.id", fmt.Sprint("id-", i))
			s.Detect(now, e, emit)
			if s.StateBytes() > limit {
				t.Fatalf("after event %d the state is of %d bytes, the limit is %d", i, s.StateBytes(), limit)
			}
			if every > 0 && i%every == every-1 {
				snapshot, _ := s.AppendSnapshot(nil)
				s.Close()
				next := set.NewSession(SessionOptions{MaxState: limit})
				if err := next.Restore(snapshot); err != nil {
					t.Fatal(err)
				}
				if next.StateBytes() != s.StateBytes() {
					t.Fatalf("after event %d the state is of %d bytes when it is restored, of %d before", i, next.StateBytes(), s.StateBytes())
				}
				s = next
			}
		}
		s.Close()
		return list
	}
	want := run(0)
	if got := run(0); !slices.Equal(got, want) {
		t.Error("two runs differ")
	}
	if got := run(97); !slices.Equal(got, want) {
		t.Errorf("with restarts there are %d documents, expected %d, or others", len(got), len(want))
	}
	var relieved uint64
	for _, c := range set.Counters() {
		relieved += c.Relieved
	}
	if relieved < 1000 || len(want) < 500 {
		t.Errorf("%d keys were forgotten, %d documents: the test shows little", relieved, len(want))
	}
}

// fill sets fields of an event by name.
func fill(t *testing.T, e *event.Event, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		id, ok := e.Dictionary().Lookup(pairs[i])
		if !ok {
			t.Fatalf("no field %s", pairs[i])
		}
		e.SetString(id, pairs[i+1])
	}
}
