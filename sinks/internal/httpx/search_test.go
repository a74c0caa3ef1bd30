package httpx

import (
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// TestSearchFindsWhatIsRefused: every bad document is found alone, the good ones
// are taken, and too many bad ones use the search up.
func TestSearchFindsWhatIsRefused(t *testing.T) {
	for _, c := range []struct {
		bad      []int
		n        int
		reason   fault.Reason
		requests int // at most
		given    bool
	}{
		{bad: nil, n: 1000, reason: fault.Rejected, requests: 1},
		{bad: []int{0}, n: 1, reason: fault.Rejected, requests: 1},
		{bad: []int{617}, n: 1000, reason: fault.Rejected, requests: 21},
		{bad: []int{1, 998}, n: 1000, reason: fault.Rejected, requests: 41},
		{bad: every(1000), n: 1000, reason: fault.Rejected, requests: 200, given: true},
		{bad: every(64), n: 64, reason: fault.TooLarge, requests: 127},
	} {
		bad := map[int]bool{}
		for _, i := range c.bad {
			bad[i] = true
		}
		began, requests, taken, given := 0, 0, 0, false
		found := map[int]bool{}
		s := NewSearch(c.n, func(*fault.Error) { began++ })
		var send func(from, to int)
		send = func(from, to int) {
			requests++
			refused := false
			for i := from; i < to; i++ {
				refused = refused || bad[i]
			}
			if !refused {
				taken += to - from
				return
			}
			alone, err := s.Refused(to-from, fault.New(fault.Permanent, c.reason, "no"), func(a, b int) { send(from+a, from+b) })
			given = given || err != nil
			if alone {
				found[from] = true
			}
		}
		send(0, c.n)
		if given != c.given || requests > c.requests || !c.given && (len(found) != len(bad) || taken != c.n-len(bad)) {
			t.Errorf("%d bad of %d: %d found, %d taken in %d requests, given up %t", len(bad), c.n, len(found), taken, requests, given)
		}
		if want := min(len(bad), 1); c.reason != fault.TooLarge && c.n > 1 && began != want {
			t.Errorf("%d bad of %d: the search began %d times", len(bad), c.n, began)
		}
		for i := range found {
			if !bad[i] {
				t.Errorf("%d is good and was refused", i)
			}
		}
	}
}

func every(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}
