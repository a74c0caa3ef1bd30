package state

import (
	"slices"
	"testing"
	"time"
)

// TestActsAreKnownToEveryGateway: what one gateway did another knows at once,
// and the same after a restart, beside the snapshots; for a day.
func TestActsAreKnownToEveryGateway(t *testing.T) {
	s := newStore(t, "state")
	now := time.Date(2024, 7, 19, 4, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	one, two := s.Acts(clock), again(t, s.cfg.Brokers, "state").Acts(clock)
	note := func(id string) {
		t.Helper()
		if err := one.RecordDone(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	known := func(a *Acts, want ...string) {
		t.Helper()
		got, err := a.Done(t.Context(), []string{"a", "b", "c"})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v (%v) are done, want %v", got, err, want)
		}
	}
	known(two)
	note("a")
	known(two, "a")
	for i := range 9 { // In all partitions, so also in that of the acts.
		s.mustSave(t, string(rune('p'+i)), 1, snapshot(uint64(i), 2000))
	}
	note("b")
	known(two, "a", "b")
	known(one, "a", "b")
	now = now.Add(keepActs + time.Second)
	note("c")
	known(two, "c")
	known(again(t, s.cfg.Brokers, "state").Acts(clock), "c")
	for i := range 9 {
		if offset, _ := s.load(t, string(rune('p'+i)), 1); offset != 1 {
			t.Errorf("the snapshot of shard %d is not found among acts", i)
		}
	}
}
