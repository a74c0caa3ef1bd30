package sinktest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// patience is how long a test waits for what must happen at once.
const patience = 20 * time.Second

// Run tests the sinks that open returns; each subtest gets a fresh pair.
func Run(t *testing.T, traits Traits, open func(t *testing.T) (Sink, Destination)) {
	tests := []struct {
		name  string
		needs bool
		test  func(t *testing.T, traits Traits, s Sink, d Destination)
	}{
		{"stores everything once", true, testStores},
		{"takes no documents", true, testEmpty},
		{"is safe for concurrent use", true, testConcurrent},
		{"keeps no document", true, testKeepsNothing},
		{"returns when cancelled before", true, testCancelledBefore},
		{"returns when cancelled meanwhile", traits.Scripted, testCancelled},
		{"survives a cut-off answer", traits.Scripted, testTruncated},
		{"refuses single documents", traits.Refuses, testRefuses},
		{"loses and invents nothing under random faults", traits.Scripted, testRandomFaults},
	}
	for _, test := range tests {
		if !test.needs {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			s, d := open(t)
			test.test(t, traits, s, d)
		})
	}
}

func testStores(t *testing.T, _ Traits, s Sink, d Destination) {
	docs := Documents("all", 257, 100)
	results := write(t, s, docs)
	for i, r := range results {
		if r.Outcome != event.Indexed {
			t.Fatalf("document %s: %v (%v), want indexed", docs[i].ID, r.Outcome, r.Err)
		}
	}
	got := d.Contents()
	if len(got) != len(docs) {
		t.Fatalf("destination holds %d documents, want %d", len(got), len(docs))
	}
	want := make(map[string][]byte, len(docs))
	for _, doc := range docs {
		want[doc.ID] = doc.Body
	}
	for _, stored := range got {
		if !bytes.Equal(stored.Body, want[stored.ID]) {
			t.Fatalf("destination holds for %q\n%s\nwant\n%s", stored.ID, stored.Body, want[stored.ID])
		}
	}
}

func testEmpty(t *testing.T, _ Traits, s Sink, d Destination) {
	if err := s.Write(t.Context(), nil, nil); err != nil {
		t.Errorf("writing nothing: %v", err)
	}
	if got := d.Contents(); len(got) != 0 {
		t.Errorf("destination holds %d documents, want none", len(got))
	}
}

func testConcurrent(t *testing.T, _ Traits, s Sink, d Destination) {
	const writers, rounds, size = 8, 5, 20
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for r := range rounds {
				docs := Documents(string(rune('a'+w))+string(rune('a'+r)), size, 10)
				results := make([]event.Result, size)
				if err := s.Write(t.Context(), docs, results); err != nil {
					t.Errorf("writing: %v", err)
				}
			}
		})
	}
	group.Wait()
	if got := len(unique(d.Contents())); got != writers*rounds*size {
		t.Errorf("destination holds %d documents, want %d", got, writers*rounds*size)
	}
}

// testKeepsNothing overwrites the documents as soon as Write has returned, as
// the pipeline does when it reuses them. A sink that still reads them stores
// nonsense, or is caught by the race detector.
func testKeepsNothing(t *testing.T, traits Traits, s Sink, d Destination) {
	for round := range 10 {
		if traits.Scripted {
			ctx, cancel := context.WithCancel(t.Context())
			d.Follow(func([]string) (Answer, func(string) Verdict) { cancel(); return Silent, nil })
			docs := Documents("cancelled", 50, 2000)
			if err := s.Write(ctx, docs, make([]event.Result, len(docs))); err == nil {
				t.Fatal("a cancelled write returned nil")
			}
			scribble(docs)
			cancel()
			d.Follow(nil)
		}
		docs := Documents(string(rune('a'+round)), 50, 2000)
		before := make([]event.Document, len(docs))
		for i, doc := range docs {
			before[i] = *doc
			before[i].Body = bytes.Clone(doc.Body)
		}
		write(t, s, docs)
		for i, doc := range docs {
			if doc.ID != before[i].ID || !bytes.Equal(doc.Body, before[i].Body) {
				t.Fatalf("Write changed document %s", before[i].ID)
			}
		}
		scribble(docs)
	}
	for _, stored := range d.Contents() {
		if bytes.Contains(stored.Body, []byte("##")) {
			t.Fatalf("document %q was read after Write had returned", stored.ID)
		}
	}
}

func testCancelledBefore(t *testing.T, _ Traits, s Sink, d Destination) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	docs := Documents("never", 3, 0)
	results := make([]event.Result, len(docs))
	if err := s.Write(ctx, docs, results); !errors.Is(err, context.Canceled) {
		t.Errorf("writing under a cancelled context: %v, want %v", err, context.Canceled)
	}
	if got := d.Contents(); len(got) != 0 {
		t.Errorf("destination holds %d documents, want none", len(got))
	}
}

func testCancelled(t *testing.T, _ Traits, s Sink, d Destination) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d.Follow(func([]string) (Answer, func(string) Verdict) { cancel(); return Silent, nil })
	docs := Documents("hung", 3, 0)
	results := make([]event.Result, len(docs))
	done := make(chan error, 1)
	go func() { done <- s.Write(ctx, docs, results) }()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled write: %v, want %v", err, context.Canceled)
		}
		for i, r := range results {
			if r.Outcome != event.Pending {
				t.Errorf("document %d is %v after a cancelled write, want pending", i, r.Outcome)
			}
		}
	case <-time.After(patience):
		t.Fatal("Write did not return when its context was cancelled")
	}
}

func testTruncated(t *testing.T, traits Traits, s Sink, d Destination) {
	d.Follow(func([]string) (Answer, func(string) Verdict) { return Truncated, nil })
	docs := Documents("cut", 40, 50)
	results := make([]event.Result, len(docs))
	err := s.Write(t.Context(), docs, results)
	if err == nil {
		t.Fatal("a cut-off answer gave nil")
	}
	if f := fault.Of(err); f.Class != fault.Transient {
		t.Fatalf("a cut-off answer is %v (%v), want transient", f.Class, err)
	}
	for i, r := range results {
		if r.Outcome != event.Pending {
			t.Fatalf("document %d is %v after a cut-off answer, want pending", i, r.Outcome)
		}
	}
	d.Follow(nil)
	if err := s.Write(t.Context(), docs, results); err != nil {
		t.Fatalf("writing again: %v", err)
	}
	contents := d.Contents()
	if got := len(unique(contents)); got != len(docs) {
		t.Errorf("destination holds %d different documents, want %d", got, len(docs))
	}
	if !traits.Idempotent {
		return
	}
	if len(contents) != len(docs) {
		t.Errorf("destination holds %d documents, want %d", len(contents), len(docs))
	}
	for i, r := range results {
		if r.Outcome != event.Duplicate {
			t.Errorf("document %d is %v when sent again, want duplicate", i, r.Outcome)
		}
	}
}

func testRefuses(t *testing.T, _ Traits, s Sink, d Destination) {
	const n = 60
	docs := Documents("mixed", n, 20)
	for _, bad := range [][]int{{0}, {n / 2}, {n - 1}, {0, 1, 17, 18, n - 1}} {
		for i := range docs {
			docs[i].ID = docs[i].ID + "x"
			docs[i].Body = bytes.Replace(docs[i].Body, []byte(docs[i].ID[:len(docs[i].ID)-1]+`"`), []byte(docs[i].ID+`"`), 1)
		}
		refused := make(map[string]bool)
		for _, i := range bad {
			refused[docs[i].ID] = true
		}
		d.Follow(func([]string) (Answer, func(string) Verdict) {
			return Whole, func(id string) Verdict {
				if refused[id] {
					return Refuse
				}
				return Store
			}
		})
		before := len(d.Contents())
		results := write(t, s, docs)
		for i, r := range results {
			checkOutcome(t, docs[i].ID, r, refused[docs[i].ID])
		}
		if got := len(d.Contents()) - before; got != n-len(bad) {
			t.Errorf("%d documents were stored, want %d", got, n-len(bad))
		}
	}
}

func checkOutcome(t *testing.T, id string, r event.Result, refused bool) {
	t.Helper()
	switch {
	case refused && r.Outcome != event.Refused:
		t.Errorf("document %s is %v (%v), want refused", id, r.Outcome, r.Err)
	case refused && (r.Err == nil || fault.Of(r.Err).Class != fault.Permanent):
		t.Errorf("document %s is refused with error %v, want one of class permanent", id, r.Err)
	case !refused && r.Outcome != event.Indexed && r.Outcome != event.Duplicate:
		t.Errorf("document %s is %v (%v), want indexed", id, r.Outcome, r.Err)
	}
}

// testRandomFaults does what the pipeline does (sends again what is pending)
// against a destination that fails at random, and accounts for every document.
func testRandomFaults(t *testing.T, traits Traits, s Sink, d Destination) {
	const seeds = 12
	everything := make(map[string]bool)
	refused := make(map[string]bool)
	var faults faultPlan
	for seed := range uint64(seeds) {
		faults.reset(seed, traits)
		d.Follow(faults.plan)
		docs := Documents("seed"+string(rune('a'+seed)), 40+int(seed)*9, int(seed)*10)
		for _, doc := range docs {
			everything[doc.ID] = true
		}
		final := deliver(t, s, d, docs, seed)
		for i, r := range final {
			checkOutcome(t, docs[i].ID, r, faults.refuses(docs[i].ID))
			refused[docs[i].ID] = r.Outcome == event.Refused
		}
	}
	stored := unique(d.Contents())
	for id := range everything {
		if stored[id] == refused[id] {
			t.Errorf("document %s: stored %v, refused %v; want exactly one", id, stored[id], refused[id])
		}
	}
	for id := range stored {
		if !everything[id] {
			t.Errorf("destination holds %q, which was never written", id)
		}
	}
}

// deliver writes docs until all are final; the destination recovers after 50
// attempts.
func deliver(t *testing.T, s Sink, d Destination, docs []*event.Document, seed uint64) []event.Result {
	t.Helper()
	final := make([]event.Result, len(docs))
	index := make([]int, len(docs))
	for i := range index {
		index[i] = i
	}
	for attempt := 0; len(index) > 0; attempt++ {
		if attempt == 50 {
			d.Follow(nil)
		}
		if attempt > 60 {
			t.Fatalf("seed %d: %d documents are still pending after %d attempts", seed, len(index), attempt)
		}
		part := make([]*event.Document, len(index))
		for i, at := range index {
			part[i] = docs[at]
		}
		results := make([]event.Result, len(part))
		err := s.Write(t.Context(), part, results)
		var pending []int
		for i, r := range results {
			if r.Outcome == event.Pending {
				pending = append(pending, index[i])
				continue
			}
			final[index[i]] = r
		}
		if err == nil && len(pending) > 0 {
			t.Fatalf("seed %d: nil, but %d documents are pending", seed, len(pending))
		}
		if err != nil && fault.Of(err).Class != fault.Transient {
			t.Fatalf("seed %d: %v is %v, want transient", seed, err, fault.Of(err).Class)
		}
		if err != nil && len(pending) == 0 {
			t.Fatalf("seed %d: %v, but no document is pending", seed, err)
		}
		index = pending
	}
	return final
}

// faultPlan fails requests and documents at random, the same for a seed.
type faultPlan struct {
	mu     sync.Mutex
	random *rand.Rand
	traits Traits
	seed   uint64
}

func (f *faultPlan) reset(seed uint64, traits Traits) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.random, f.traits, f.seed = rand.New(rand.NewPCG(seed, 1)), traits, seed
}

// refuses decides by the id, so that a document is refused each time.
func (f *faultPlan) refuses(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refusesLocked(id)
}

func (f *faultPlan) refusesLocked(id string) bool {
	sum := f.seed
	for _, c := range []byte(id) {
		sum = sum*31 + uint64(c)
	}
	return f.traits.Refuses && sum%11 == 0
}

func (f *faultPlan) plan(ids []string) (Answer, func(string) Verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	verdicts := make(map[string]Verdict, len(ids))
	for _, id := range ids {
		switch {
		case f.refusesLocked(id):
			verdicts[id] = Refuse
		case f.traits.Defers && f.random.IntN(3) == 0:
			verdicts[id] = Later
		}
	}
	answer := Whole
	switch f.random.IntN(6) {
	case 0:
		answer = Unavailable
	case 1:
		answer = Truncated
	}
	return answer, func(id string) Verdict { return verdicts[id] }
}

// write writes docs to a destination that does not fail.
func write(t *testing.T, s Sink, docs []*event.Document) []event.Result {
	t.Helper()
	results := make([]event.Result, len(docs))
	if err := s.Write(t.Context(), docs, results); err != nil {
		t.Fatalf("writing %d documents: %v", len(docs), err)
	}
	if i := slices.IndexFunc(results, func(r event.Result) bool { return r.Outcome == event.Pending }); i >= 0 {
		t.Fatalf("Write returned nil but document %s is pending", docs[i].ID)
	}
	return results
}

func scribble(docs []*event.Document) {
	for _, d := range docs {
		for i := range d.Body {
			d.Body[i] = '#'
		}
		*d = event.Document{ID: "scribbled"}
	}
}

func unique(contents []Stored) map[string]bool {
	ids := make(map[string]bool, len(contents))
	for _, s := range contents {
		ids[s.ID] = true
	}
	return ids
}
