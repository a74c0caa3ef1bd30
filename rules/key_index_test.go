package rules

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestKeyIndex compares the index with a map while keys come and go.
func TestKeyIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	table := newKeyed[int](1 << 20)
	want := map[string]int{}
	for i := range 200_000 {
		text := fmt.Sprint("agent-", r.IntN(3000))
		switch have := table.get(key{text: text}); {
		case have == nil:
			if _, ok := want[text]; ok {
				t.Fatalf("step %d: %q is lost", i, text)
			}
			e, _ := table.obtain(key{text: text})
			e.data, want[text] = i, i
		case have.data != want[text]:
			t.Fatalf("step %d: %q has the state of another key", i, text)
		case r.IntN(2) == 0:
			table.remove(have)
			delete(want, text)
		}
		if table.held() != len(want) {
			t.Fatalf("step %d: %d keys are held, expected %d", i, table.held(), len(want))
		}
	}
	for text, data := range want {
		if e := table.get(key{text: text}); e == nil || e.data != data {
			t.Errorf("%q is lost", text)
		}
	}
}

// TestKeyOutlivesTheEvent makes sure that a table keeps a copy of a key whose
// bytes are the event's.
func TestKeyOutlivesTheEvent(t *testing.T) {
	f := newFeed(t, compileRules(t, dictionary(t), ruleYAML(1, "threshold", "group_by: [agent.version]\nscope: fleet\ncondition: has(agent.version)\nwindow: 10m\nhaving: {gte: 2}")), SessionOptions{})
	for _, version := range []string{"7.1", "7.2", "7.3", "7.1"} {
		f.send(0, "event.action", "sensor-heartbeat", "agent.id", "a", "agent.version", version)
	}
	if got := len(f.alerts); got != 1 {
		t.Errorf("%d alerts, expected one about 7.1", got)
	}
}
