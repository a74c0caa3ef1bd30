package table

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestKeyIndex compares the index with a map while keys come and go.
func TestKeyIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	table := New[int](1 << 20)
	want := map[string]int{}
	for i := range 200_000 {
		text := fmt.Sprint("agent-", r.IntN(3000))
		switch have := table.Get(Key{Text: text}); {
		case have == nil:
			if _, ok := want[text]; ok {
				t.Fatalf("step %d: %q is lost", i, text)
			}
			e, _ := table.Obtain(Key{Text: text})
			e.Data, want[text] = i, i
		case have.Data != want[text]:
			t.Fatalf("step %d: %q has the state of another key", i, text)
		case r.IntN(2) == 0:
			table.Remove(have)
			delete(want, text)
		}
		if table.Held() != len(want) {
			t.Fatalf("step %d: %d keys are held, expected %d", i, table.Held(), len(want))
		}
	}
	for text, data := range want {
		if e := table.Get(Key{Text: text}); e == nil || e.Data != data {
			t.Errorf("%q is lost", text)
		}
	}
}
