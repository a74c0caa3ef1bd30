package fleet

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

// heardStep is what an exchange holds.
type heardStep struct {
	partition string
	bytes     []byte
	end       int64
}

// exchanged are the steps of four partitions during a bad rollout and an outage
// of a site.
func exchanged(t testing.TB) []heardStep {
	t.Helper()
	w := newWorld(t, 600, 4, 10)
	sharedBy(w, 2)
	var steps []heardStep
	w.tap = func(end int64, told []Contribution) {
		for _, c := range told {
			h := heardStep{partition: c.Partition, end: end}
			if c.Step != nil {
				h.bytes = AppendStep(nil, c.Step)
			}
			steps = append(steps, h)
		}
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
	c := Contribution{Partition: h.partition}
	if h.bytes != nil {
		s, err := ParseStep(h.bytes)
		if err != nil {
			t.Fatal(err)
		}
		c.Step = s
	}
	return f.Hear(h.end, []Contribution{c})
}

// TestJudgeGoesOnFromItsSnapshot restores after every step: what is found is
// what one that never stopped finds.
func TestJudgeGoesOnFromItsSnapshot(t *testing.T) {
	steps := exchanged(t)
	whole, often := NewShared(DefaultConfig(), nil), NewShared(DefaultConfig(), nil)
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
		if i%13 != 0 && len(got) == 0 {
			continue
		}
		often = NewShared(DefaultConfig(), nil)
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
	f := NewShared(DefaultConfig(), nil)
	for i := range steps {
		steps[i].tell(t, f)
	}
	kept := f.AppendSnapshot(nil)
	into := NewShared(DefaultConfig(), nil)
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
	if err := into.Restore(kept); err != nil {
		t.Error(err)
	}
}

func FuzzRestoreFleet(f *testing.F) {
	steps := exchanged(f)
	judge := NewShared(DefaultConfig(), nil)
	for i := range steps[:240] {
		steps[i].tell(f, judge)
	}
	f.Add(judge.AppendSnapshot(nil))
	f.Add(NewShared(DefaultConfig(), nil).AppendSnapshot(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		into := NewShared(DefaultConfig(), nil)
		if into.Restore(b) != nil {
			return
		}
		again := NewShared(DefaultConfig(), nil)
		if err := again.Restore(into.AppendSnapshot(nil)); err != nil {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		end := into.Closed() + StepLength
		into.Hear(end, []Contribution{{Partition: "a", Step: newStep(end)}})
	})
}
