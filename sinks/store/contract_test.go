package store

import (
	"testing"

	"github.com/edrwatch/edrwatch/sinks/sinktest"
)

// contents lets the contract's tests see what is stored.
type contents struct {
	t *testing.T
	s *Store
}

func (c contents) Follow(sinktest.Plan) {}

func (c contents) Contents() []sinktest.Stored {
	var all []sinktest.Stored
	q := Query{Limit: MaxLimit}
	for {
		page, err := c.s.Search(c.t.Context(), q)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, d := range page.Docs {
			all = append(all, sinktest.Stored{ID: d.ID, Body: d.Body})
		}
		if page.Next == (Cursor{}) {
			return all
		}
		q.Before = page.Next
	}
}

func TestContract(t *testing.T) {
	sinktest.Run(t, sinktest.Traits{Idempotent: true}, func(t *testing.T) (sinktest.Sink, sinktest.Destination) {
		s := open(t, nil)
		return s, contents{t, s}
	})
}
