package respond

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// notebook is a journal that two dispatchers share, and that can be out of reach.
type notebook struct {
	mu   sync.Mutex
	done map[string]bool
	asks int
	err  error
}

func (n *notebook) Done(_ context.Context, ids []string) (done []string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asks++
	for _, id := range ids {
		if n.done[id] {
			done = append(done, id)
		}
	}
	return done, n.err
}

func (n *notebook) RecordDone(_ context.Context, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err == nil {
		n.done[id] = true
	}
	return n.err
}

// TestActsAreNotRepeatedAfterARestart: what a gateway did before it was killed
// is not done again, and the end of it is sent even over the limit.
func TestActsAreNotRepeatedAfterARestart(t *testing.T) {
	book := &notebook{done: map[string]bool{}}
	restarted := func(perHour int) *bench {
		b := newBench(t, Config{Enabled: true, MaxPerHour: perHour}, Ask{Action: "open_case", To: []string{"soar"}, On: []string{"firing", "resolved"}})
		b.d.set.Journal = book
		return b
	}
	write := func(b *bench, docs ...*event.Document) {
		t.Helper()
		if _, err := b.write(docs...); err != nil {
			t.Fatal(err)
		}
	}
	first := restarted(10)
	write(first, alert("a1", "firing", "high", 0))
	second := restarted(1)
	write(second, alert("a1", "firing", "high", 0), alert("a2", "firing", "high", 0), alert("a1", "resolved", "high", 0))
	write(second, alert("a1", "firing", "high", 0), alert("a2", "firing", "high", 0))
	if got := second.soar.got; len(first.soar.got) != 1 || len(got) != 2 || got[0].Alert.ID != "a2" || got[1].Alert.Status != "resolved" {
		t.Errorf("%d acts before the restart, after it %+v", len(first.soar.got), got)
	}
	if book.asks != 2 {
		t.Errorf("the journal was asked %d times, want once for each batch with something new", book.asks)
	}
}

// TestAJournalOutOfReachHoldsNoActUp: to act twice is better than not to.
func TestAJournalOutOfReachHoldsNoActUp(t *testing.T) {
	b := newBench(t, Config{Enabled: true, MaxPerHour: 10}, Ask{Action: "pause_rollout"})
	b.d.set.Journal = &notebook{err: errors.New("no broker answers")}
	if _, err := b.write(alert("a1", "firing", "high", 0)); err != nil || len(b.soar.got) != 1 || len(b.worker.got) != 1 {
		t.Errorf("%v: %d and %d acts, want one each", err, len(b.soar.got), len(b.worker.got))
	}
}

// TestADryRunLeavesNoNote: what was not done is done when responses are enabled.
func TestADryRunLeavesNoNote(t *testing.T) {
	book := &notebook{done: map[string]bool{}}
	b := newBench(t, Config{MaxPerHour: 10}, Ask{Action: "pause_rollout"})
	b.d.set.Journal = book
	if _, err := b.write(alert("a1", "firing", "high", 0)); err != nil || len(book.done) != 0 {
		t.Errorf("%v: noted %v", err, book.done)
	}
}
