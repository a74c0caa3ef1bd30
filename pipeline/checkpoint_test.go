package pipeline

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// tally is a detector whose state is the actions that it saw.
type tally struct{ seen string }

func (d *tally) Detect(_ int64, e *event.Event, _ func(*event.Event)) {
	d.seen += e.Str(ecs.EventAction) + " "
}

func (d *tally) AppendSnapshot(to []byte) ([]byte, bool) { return append(to, d.seen...), true }

func (d *tally) Restore(snapshot []byte) error {
	if strings.Contains(string(snapshot), "poison") {
		return errors.New("poison")
	}
	d.seen = string(snapshot)
	return nil
}

func tallying(t *testing.T) (*Shard, *tally) {
	t.Helper()
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	d := &tally{}
	return NewShard(DefaultShardConfig(), &lineMapper{event.New(dict)}, d), d
}

func TestShardGoesOnFromItsSnapshot(t *testing.T) {
	p := event.Partition{Prefix: "cafe", Topic: "t"}
	all := records("a", "dup x", "b", "dup y", "c", "dup x", "dup z", "dup y")
	for n := range len(all) + 1 {
		whole, want := tallying(t)
		first, _ := tallying(t)
		for i := range all {
			whole.Process(&p, &all[i], false)
			if i < n {
				first.Process(&p, &all[i], false)
			}
		}
		snapshot, ok := first.AppendSnapshot(nil)
		if !ok {
			t.Fatal("there is no snapshot")
		}
		second, got := tallying(t)
		if err := second.Restore(snapshot); err != nil {
			t.Fatal(err)
		}
		if again, _ := second.AppendSnapshot(nil); !slices.Equal(again, snapshot) {
			t.Errorf("after %d records the restored state is another one", n)
		}
		for i := n; i < len(all); i++ {
			second.Process(&p, &all[i], false)
		}
		if got.seen != want.seen || second.Now() != whole.Now() {
			t.Errorf("restored after %d records: saw %q at %d, want %q at %d", n, got.seen, second.Now(), want.seen, whole.Now())
		}
	}
}

func TestDamagedSnapshotsAreRefused(t *testing.T) {
	p := event.Partition{Prefix: "cafe", Topic: "t"}
	s, _ := tallying(t)
	all := records("a", "dup x", "b")
	for i := range all {
		s.Process(&p, &all[i], false)
	}
	snapshot, _ := s.AppendSnapshot(nil)
	fresh, d := tallying(t)
	for i := range snapshot {
		flipped := slices.Clone(snapshot)
		flipped[i] ^= 4
		if fresh.Restore(flipped) == nil || fresh.Restore(snapshot[:i]) == nil {
			t.Fatalf("damage at byte %d is not noticed", i)
		}
	}
	if d.seen != "" || fresh.Now() != 0 {
		t.Error("a refused snapshot left something behind")
	}
	if _, ok := newTestShard(t, DefaultShardConfig()).AppendSnapshot(nil); ok {
		t.Error("a detector that keeps nothing has a snapshot")
	}
}

// shelf is Checkpoints in memory.
type shelf struct {
	saved  map[string][]kept
	broken error
}

type kept struct {
	offset int64
	bytes  []byte
}

func (s *shelf) Save(_ context.Context, shard string, offset int64, snapshot []byte) error {
	if s.broken == nil {
		s.saved[shard] = append(s.saved[shard], kept{offset, slices.Clone(snapshot)})
	}
	return s.broken
}

func (s *shelf) Load(_ context.Context, shard string, committed int64, restore func(int64, []byte) error) (int64, bool, error) {
	for _, k := range slices.Backward(s.saved[shard]) {
		if s.broken == nil && k.offset <= committed && restore(k.offset, k.bytes) == nil {
			return k.offset, true, nil
		}
	}
	return 0, false, s.broken
}

func TestWorkersGoOnFromCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &moodySink{rng: rand.New(rand.NewPCG(1, 1)), stored: map[string]int{}}
		r, reg := testRunner(t, &box{}, Output{Name: "a", Sink: sink, Required: true})
		var d *tally
		store := &shelf{saved: map[string][]kept{}}
		r.set.NewDetector = func(event.Partition) Detector { d = &tally{}; return d }
		r.set.Checkpoints, r.set.CheckpointEvery = store, time.Minute
		p := event.Partition{Prefix: "cafe", Topic: "t", Number: 3}
		all := records("a", "b", "c", "d", "e", "f")
		open := func() *worker {
			w, err := r.OpenKept("g")(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			return w.(*worker)
		}
		handle := func(w *worker, from, to int, committed int64) {
			t.Helper()
			if err := w.Handle(t.Context(), &event.Batch{Partition: p, Records: all[from:to], Committed: committed}); err != nil {
				t.Fatal(err)
			}
		}

		w := open()
		if _, ok := w.Resume(t.Context(), 0); ok {
			t.Error("there is something to go on from at the start")
		}
		handle(w, 0, 1, 0)
		time.Sleep(time.Minute) // The bubble's.
		handle(w, 1, 2, 0)
		synctest.Wait()
		if got := store.saved["g/t/cafe-3"]; len(got) != 1 || got[0].offset != 2 {
			t.Fatalf("kept %+v, want one at offset 2", got)
		}
		handle(w, 2, 4, 0)
		w.Close()
		if got := store.saved["g/t/cafe-3"]; len(got) != 2 || got[1].offset != 4 {
			t.Fatalf("kept %+v, want another at offset 4", got)
		}

		// The newest beyond what was committed is not used.
		w = open()
		if from, ok := w.Resume(t.Context(), 3); !ok || from != 2 || d.seen != "a b " {
			t.Errorf("goes on from %d (%v) with %q", from, ok, d.seen)
		}
		handle(w, 2, 3, 3)
		w.Close()
		if got := len(store.saved["g/t/cafe-3"]); got != 3 {
			t.Errorf("%d are kept, want one more, at what was committed", got)
		}

		// A damaged one makes room for the one before.
		store.saved["g/t/cafe-3"] = append(store.saved["g/t/cafe-3"][:2], kept{5, []byte("poison")})
		w = open()
		if from, ok := w.Resume(t.Context(), 5); !ok || from != 4 || d.seen != "a b c d " {
			t.Errorf("goes on from %d (%v) with %q", from, ok, d.seen)
		}
		if n := sums(t, reg, "checkpoint_restores_total", "outcome")["damaged"]; n != 1 {
			t.Errorf("%v damaged ones are counted, want 1", n)
		}

		// State that is ahead of what was acknowledged is not kept.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Handle(ctx, &event.Batch{Partition: p, Records: all[4:5]}); err == nil {
			t.Fatal("a cancelled batch is acknowledged")
		}
		before := len(store.saved["g/t/cafe-3"])
		w.Close()
		if got := len(store.saved["g/t/cafe-3"]); got != before {
			t.Error("the state after a batch that was not acknowledged is kept")
		}

		// While nothing can be kept or read, work goes on.
		store.broken = errors.New("no broker")
		w = open()
		if _, ok := w.Resume(t.Context(), 5); ok {
			t.Error("goes on from what cannot be read")
		}
		handle(w, 0, 1, 0)
		w.Close()
		if n := sums(t, reg, "checkpoints_total", "outcome")["failed"]; n != 1 {
			t.Errorf("%v failures are counted, want 1", n)
		}
	})
}

// slowState is a detector that takes a minute to write its state down.
type slowState struct{ tally }

func (d *slowState) AppendSnapshot(to []byte) ([]byte, bool) {
	time.Sleep(time.Minute) // The bubble's.
	return d.tally.AppendSnapshot(to)
}

// slowSink takes 50 seconds for a batch.
type slowSink struct{}

func (slowSink) Write(ctx context.Context, _ []*event.Document, results []event.Result) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	time.Sleep(50 * time.Second)
	for i := range results {
		results[i] = event.Result{Outcome: event.Indexed}
	}
	return nil
}

// TestSnapshotIsWrittenDuringTheDelivery expects a partition to stand still only
// for what the delivery does not take, and the state of a batch that is not
// acknowledged to be forgotten.
func TestSnapshotIsWrittenDuringTheDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := testRunner(t, &box{}, Output{Name: "a", Sink: slowSink{}, Required: true})
		store := &shelf{saved: map[string][]kept{}}
		r.set.NewDetector = func(event.Partition) Detector { return &slowState{} }
		r.set.Checkpoints, r.set.CheckpointEvery = store, time.Second
		p := event.Partition{Prefix: "cafe", Topic: "t"}
		all := records("a", "b", "c")
		w, err := r.OpenKept("g")(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		began := time.Now()
		if err := w.Handle(t.Context(), &event.Batch{Partition: p, Records: all[:2]}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("the batch took %v, of which delivery and snapshot together are 1m0s", took)
		}
		synctest.Wait()
		if got := store.saved["g/t/cafe-0"]; len(got) != 1 || got[0].offset != 2 || !strings.HasSuffix(keptState(t, got[0].bytes), "a b ") {
			t.Fatalf("kept %+v, want the state at offset 2", got)
		}

		time.Sleep(2 * time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Handle(ctx, &event.Batch{Partition: p, Records: all[2:]}); err == nil {
			t.Fatal("a cancelled batch is acknowledged")
		}
		w.Close()
		if got := store.saved["g/t/cafe-0"]; len(got) != 1 {
			t.Errorf("%d are kept, want none after a batch that was not acknowledged", len(got))
		}
	})
}

func keptState(t *testing.T, snapshot []byte) string {
	t.Helper()
	state, err := KeptState(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	return string(state)
}
