package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// keeper is a worker with state of its own.
type keeper struct {
	*seen
	resume func(committed int64) (int64, bool)
}

func (k *keeper) Resume(_ context.Context, committed int64) (int64, bool) { return k.resume(committed) }

// TestResumersGoOnFromTheirState asks a worker that kept its state where to go
// on; only one that does not know is read to from the horizon on.
func TestResumersGoOnFromTheirState(t *testing.T) {
	b := newBroker(t)
	for i, tc := range []struct {
		name    string
		resume  int64
		ok      bool
		horizon time.Duration
		gone    int64 // by retention
		again   int
	}{
		{"nothing kept", 0, false, time.Hour, 0, 30},
		{"nothing kept, nothing to rebuild", 0, false, 0, 0, 0},
		{"kept up to the last commit", 30, true, time.Hour, 0, 0},
		{"kept a while before", 21, true, time.Hour, 0, 9},
		{"kept before what retention left", 5, true, 0, 12, 18},
		{"kept beyond what was committed", 50, true, time.Hour, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			topic := fmt.Sprint("t", i)
			b.create(topic, 1)
			b.produce(b.admin(), topic, 0, values("v", 30)...)
			var before, after seen
			stop := start(t, b.config(topic, topic), Settings{}, &before)
			before.all(t, 30)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if tc.gone > 0 {
				b.deleteBefore(topic, tc.gone)
			}
			asked := int64(-1)
			source, err := New(b.config(topic, topic), Settings{Name: "test", Horizon: func() time.Duration { return tc.horizon }})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- source.Run(ctx, func(context.Context, event.Partition) (event.Worker, error) {
					return &keeper{&after, func(committed int64) (int64, bool) { asked = committed; return tc.resume, tc.ok }}, nil
				})
			}()
			b.produce(b.admin(), topic, 0, "new")
			after.all(t, 1)
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if asked != 30 {
				t.Errorf("asked with %d committed, want 30", asked)
			}
			if len(after.fresh) != 1 || len(after.again) != tc.again {
				t.Errorf("new: %v; again: %d records, want %d", after.fresh, len(after.again), tc.again)
			}
		})
	}
}
