package fleet

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// sharedBy makes the world's shards those of so many gateways, whose steps go
// over an exchange to all of them and to the whole.
func sharedBy(w *world, gateways int) {
	w.whole = NewShared(DefaultConfig(), nil)
	for range gateways {
		w.gateways = append(w.gateways, NewShared(DefaultConfig(), nil))
	}
	var names []string
	for i := range w.shards {
		names = append(names, fmt.Sprint(i))
		w.shards[i] = w.gateways[i%gateways].Shard(names[i])
	}
	for _, f := range append(w.gateways, w.whole) {
		f.Expect(names)
	}
}

// exchange sends all what a gateway did, over bytes.
func (w *world) exchange(from *Fleet, end int64) {
	told := from.Outbox(end, from.Partitions())
	if w.tap != nil {
		w.tap(end, told)
	}
	for _, to := range append(w.gateways, w.whole) {
		heard := slices.Clone(told)
		for i := range heard {
			if heard[i].Step == nil {
				continue
			}
			step, err := ParseStep(AppendStep(nil, heard[i].Step))
			if err != nil {
				w.t.Fatal(err)
			}
			heard[i].Step = step
		}
		findings := to.Hear(end, heard)
		if to == w.whole {
			w.findings = append(w.findings, findings...)
		}
	}
}

// bySilence lets a third of the fleet fall silent.
func bySilence(w *world) []Finding {
	w.run(time.Hour, nobody)
	w.run(20*time.Minute, func(i int) bool { return i%3 == 0 })
	return w.findings
}

// TestPartitionsAndGatewaysDoNotMatter: the same agents in any number of
// partitions, of any number of gateways, make the same findings, to the host.
func TestPartitionsAndGatewaysDoNotMatter(t *testing.T) {
	alone := bySilence(newWorld(t, 600, 1, 4))
	if len(alone) == 0 {
		t.Fatal("a third of the fleet fell silent, and nothing was found")
	}
	for _, tc := range []struct{ shards, gateways int }{{4, 0}, {7, 0}, {4, 1}, {4, 2}, {8, 3}} {
		w := newWorld(t, 600, tc.shards, 4)
		if tc.gateways > 0 {
			sharedBy(w, tc.gateways)
		}
		if found := bySilence(w); !reflect.DeepEqual(found, alone) {
			t.Errorf("%d partitions of %d gateways: found %+v, one alone %+v", tc.shards, tc.gateways, found, alone)
		}
	}
}

func stepOf(end int64, alive int) *Step {
	s := newStep(end)
	s.Sites["x"] = &SiteStep{Alive: alive}
	return s
}

// A partition that is read again, or by somebody else, counts once; one that
// nobody reports on holds up the others, whatever else is reported, until it is
// skipped. Its agents stay in the denominators.
func TestPartitionInTransit(t *testing.T) {
	f := NewShared(DefaultConfig(), nil)
	at := time.Date(2024, 7, 19, 4, 0, 0, 0, time.UTC).UnixNano()
	f.Expect([]string{"a", "b"})
	tell := func(partition string, end int64) {
		f.Hear(end, []Contribution{{Partition: partition, Step: stepOf(end, 10)}})
	}
	for range 3 {
		at += StepLength
		tell("a", at)
		tell("a", at)
		tell("b", at)
	}
	if f.Closed() != at {
		t.Fatalf("judged up to %d, want %d", f.Closed(), at)
	}
	held := at
	for range 100 {
		at += StepLength
		tell("a", at)
	}
	if f.Closed() != held || !slices.Equal(f.Awaited(), []string{"b"}) {
		t.Fatalf("judged %s without b; awaited are %v", time.Duration(f.Closed()-held), f.Awaited())
	}
	f.Skip([]string{"b"})
	if f.Closed() != at || !f.View(at).Partial || !slices.Equal(f.Skipped(), []string{"b"}) {
		t.Errorf("judged up to %s before the end, partial %t, without %v", time.Duration(at-f.Closed()), f.View(at).Partial, f.Skipped())
	}
	whole := f.collect.close(at + StepLength)
	if got := whole.Sites["x"].Alive; got != 20 {
		t.Errorf("%d agents are known, want the 10 of each partition", got)
	}
}

// A partition that is behind reports several steps at once; all of them count.
func TestSeveralStepsAtOnce(t *testing.T) {
	f := NewShared(DefaultConfig(), nil)
	f.Expect([]string{"a"})
	begin := time.Date(2024, 7, 19, 4, 0, 0, 0, time.UTC).UnixNano()
	var told []Contribution
	for n := range int64(5) {
		told = append(told, Contribution{Partition: "a", Step: stepOf(begin+n*StepLength, int(10+n))})
	}
	f.Hear(begin+4*StepLength, told)
	if last := f.collect.known["a"].last; f.Closed() != begin+4*StepLength || last.Sites["x"].Alive != 14 {
		t.Errorf("judged up to %s with %+v", time.Duration(f.Closed()-begin), last.Sites["x"])
	}
}

// What is merged of steps does not depend on the order, to the last named host.
func TestMergingHasNoOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var parts []*Step
	for p := range 9 {
		s := newStep(StepLength)
		for i := range 60 {
			host := fmt.Sprintf("h-%d", rng.IntN(1000))
			st := of(s.Strata, Stratum{Product: "a", Ring: fmt.Sprint(i % 3)})
			st.NewlySilent++
			st.Casualties = append(st.Casualties, Casualty{Host: host, Class: Class(i % int(classes)), Heard: int64(p)})
			of(s.Sites, "x").Hosts = append(of(s.Sites, "x").Hosts, host)
			s.Hosts = append(s.Hosts, HostIncident{Host: host, Seen: int64(rng.IntN(100))})
		}
		*of(s.Feeds, "f") = FeedStep{Records: p, Due: int64(rng.IntN(1e9)), First: int64(10 + p), Last: int64(20 + p), Least: int64(5 + p), Late: p % 2}
		s.order()
		parts = append(parts, s)
	}
	sum := func() *Step {
		whole := newStep(StepLength)
		for _, p := range parts {
			whole.Add(p)
		}
		return whole
	}
	want := sum()
	if n := len(want.Sites["x"].Hosts); n != maxCasualties {
		t.Fatalf("%d hosts are named, want %d", n, maxCasualties)
	}
	for range 20 {
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		if got := sum(); !reflect.DeepEqual(got, want) {
			t.Fatal("the sum depends on the order")
		}
	}
}

// What was judged before is judged again without a word by a judge that is new.
func TestRebuiltStepsAreNotTold(t *testing.T) {
	begin := time.Date(2024, 7, 19, 4, 0, 0, 0, time.UTC).UnixNano()
	find := func(rebuilt ...bool) (found int) {
		f := New(DefaultConfig(), nil)
		f.Pace()
		shards := []*Shard{f.Shard("0"), f.Shard("1")}
		for n := int64(1); n < 200; n++ {
			for i, s := range shards {
				step := stepOf(begin+n*StepLength, 1000)
				step.Sites["y"] = &SiteStep{Alive: 20}
				if n >= 150 {
					step.Sites["y"] = &SiteStep{Silent: 20}
				}
				if n == 150 {
					step.Sites["y"].NewlySilent = 20
				}
				f.Take(s, step, rebuilt[i])
			}
			found += len(f.Close(begin+n*StepLength, false))
		}
		return found
	}
	if find(false, false) == 0 || find(true, false) == 0 {
		t.Error("a site went dark, and nothing was found")
	}
	if n := find(true, true); n != 0 {
		t.Errorf("%d findings that were reported before are reported again", n)
	}
}
