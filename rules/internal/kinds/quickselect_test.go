package kinds

import (
	"math/rand/v2"
	"testing"
)

// TestQuickselect compares the percentile with a sorted list.
func TestQuickselect(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		v := make([]float64, 1+r.IntN(40))
		for i := range v {
			v[i] = float64(r.IntN(10))
		}
		n := r.IntN(len(v))
		less, equal := 0, 0
		got := nth(append([]float64(nil), v...), n)
		for _, f := range v {
			if f < got {
				less++
			} else if f == got {
				equal++
			}
		}
		if less > n || n >= less+equal {
			t.Fatalf("nth(%v, %d) = %v", v, n, got)
		}
	}
}
