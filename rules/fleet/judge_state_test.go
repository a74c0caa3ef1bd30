package fleet

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

// heardStep is what an exchange holds.
type heardStep struct {
	gateway string
	bytes   []byte
	at      int64
}

// exchanged are the steps of two gateways during a bad rollout and an outage
// of a site.
func exchanged(t testing.TB) []heardStep {
	t.Helper()
	w := newWorld(t, 600, 4, 10)
	var steps []heardStep
	for g := range 2 {
		w.members = append(w.members, NewMember(DefaultConfig(), nil, func(s *Step) {
			steps = append(steps, heardStep{string(rune('a' + g)), AppendStep(nil, s), w.now})
		}))
	}
	for i := range w.shards {
		w.shards[i] = w.members[i%2].Shard()
	}
	w.run(30*time.Minute, nobody)
	for i := range 150 {
		w.send(i, w.agents[i], "content-updated", "32")
	}
	w.run(10*time.Minute, func(i int) bool { return i < 60 })
	w.run(20*time.Minute, func(i int) bool { return i < 60 || i%10 == 3 })
	w.run(15*time.Minute, func(i int) bool { return i < 60 })
	return steps
}

func (h *heardStep) tell(t testing.TB, f *Fleet) []Finding {
	t.Helper()
	s, err := ParseStep(h.bytes)
	if err != nil {
		t.Fatal(err)
	}
	return f.Hear(h.gateway, s, h.at)
}

// TestJudgeGoesOnFromItsSnapshot restores after every step: what is found is
// what one that never stopped finds.
func TestJudgeGoesOnFromItsSnapshot(t *testing.T) {
	steps := exchanged(t)
	whole, often := New(DefaultConfig(), nil), New(DefaultConfig(), nil)
	kinds := map[string]bool{}
	for i := range steps {
		want := steps[i].tell(t, whole)
		got := steps[i].tell(t, often)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("step %d: found %+v, want %+v", i, got, want)
		}
		for _, f := range got {
			kinds[f.Kind] = true
		}
		kept := often.AppendSnapshot(nil)
		if i%7 != 0 && len(got) == 0 {
			continue
		}
		often = New(DefaultConfig(), nil)
		if err := often.Restore(kept); err != nil {
			t.Fatal(err)
		}
		if again := often.AppendSnapshot(nil); !bytes.Equal(again, kept) {
			t.Fatalf("step %d: what was restored is written as other bytes", i)
		}
	}
	if !kinds["bad_rollout"] || !kinds["site_outage"] {
		t.Errorf("only %v were found: the test shows nothing", kinds)
	}
	if a, b := whole.Rollouts(DefaultPolicy()), often.Rollouts(DefaultPolicy()); !reflect.DeepEqual(a, b) {
		t.Errorf("rollouts: %+v, want %+v", b, a)
	}
	t.Logf("state of 600 agents at 10 sites with a bad version: %d bytes", len(whole.AppendSnapshot(nil)))
}

func TestDamagedStateLeavesTheFleetAsItWas(t *testing.T) {
	steps := exchanged(t)
	f := New(DefaultConfig(), nil)
	for i := range steps {
		steps[i].tell(t, f)
	}
	kept := f.AppendSnapshot(nil)
	into := New(DefaultConfig(), nil)
	into.WaitFor(time.Minute)
	before := into.AppendSnapshot(nil)
	for n := 0; n < len(kept); n += 1 + n/64 {
		if err := into.Restore(kept[:n]); err == nil {
			t.Fatalf("%d of %d bytes are taken", n, len(kept))
		}
	}
	if err := into.Restore(append(bytes.Clone(kept), 0)); err == nil {
		t.Error("bytes after the end are taken")
	}
	if after := into.AppendSnapshot(nil); !bytes.Equal(before, after) {
		t.Error("a refused state left something behind")
	}
	if err := into.Restore(kept); err != nil || into.gateways.idle != time.Minute {
		t.Errorf("restored with %v, waiting for %s", err, into.gateways.idle)
	}
}

func FuzzRestoreFleet(f *testing.F) {
	steps := exchanged(f)
	judge := New(DefaultConfig(), nil)
	for i := range steps[:240] {
		steps[i].tell(f, judge)
	}
	f.Add(judge.AppendSnapshot(nil))
	f.Add(New(DefaultConfig(), nil).AppendSnapshot(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		into := New(DefaultConfig(), nil)
		if into.Restore(b) != nil {
			return
		}
		again := New(DefaultConfig(), nil)
		if err := again.Restore(into.AppendSnapshot(nil)); err != nil {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		into.Hear("a", newStep(into.heard+StepLength), into.heard)
	})
}
