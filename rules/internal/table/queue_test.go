package table

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestQueue compares a queue with a plain list.
func TestQueue(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var q Queue[string]
	var want []string
	for i := range 20_000 {
		switch {
		case r.IntN(20) == 0:
			n := r.IntN(len(want) + 1)
			q.Drop(n)
			want = want[n:]
		case r.IntN(10) == 0 && len(want) > 0:
			place := r.IntN(len(want))
			q.Insert(place, fmt.Sprint(i))
			want = append(want[:place:place], append([]string{fmt.Sprint(i)}, want[place:]...)...)
		default:
			q.Insert(q.Len(), fmt.Sprint(i))
			want = append(want, fmt.Sprint(i))
		}
		if got := fmt.Sprint(q.List()); got != fmt.Sprint(want) || q.Len() != len(want) {
			t.Fatalf("step %d: the queue holds %v, expected %v", i, got, want)
		}
	}
	if cap(q.buf) > 4096 {
		t.Errorf("the queue has grown to %d places", cap(q.buf))
	}
}
