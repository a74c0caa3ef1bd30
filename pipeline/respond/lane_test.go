package respond

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// hanging is a receiver that does not answer.
type hanging struct{}

func (hanging) Send(ctx context.Context, _ *Act) (int, error) {
	<-ctx.Done()
	return 0, context.Cause(ctx)
}

func TestAResponderThatHangsHoldsNoOtherUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Enabled: true, MaxPerHour: 10}, Ask{Action: "pause_rollout"})
		b.d.lanes[0].to.Responder = hanging{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, id := range []string{"a1", "a2"} { // Two partitions.
			go func() {
				results := make([]event.Result, 1)
				err := b.d.Write(ctx, []*event.Document{alert(id, "firing", "high", 0)}, results)
				if !errors.Is(err, context.Canceled) || results[0].Outcome != event.Pending {
					t.Errorf("%s: %v, %v", id, err, results)
				}
			}()
		}
		synctest.Wait()
		if len(b.worker.got) != 2 {
			t.Errorf("the worker got %d acts while the SOAR hangs, want 2", len(b.worker.got))
		}
	})
}

func TestABatchCostsAResponderThatIsDownOneAttempt(t *testing.T) {
	b := newBench(t, Config{Enabled: true, MaxPerHour: 100}, Ask{Action: "open_case"})
	down := &fault.Error{Class: fault.Transient, Reason: fault.Overloaded, RetryAfter: time.Minute, Err: errors.New("later")}
	b.soar.fails = []error{nil, down}
	var docs []*event.Document
	for i := range 20 {
		docs = append(docs, alert(fmt.Sprintf("a%02d", i), "firing", "high", 0))
	}
	results, err := b.write(docs...)
	if fault.Of(err).RetryAfter != time.Minute {
		t.Errorf("what the receiver asked for is lost: %v", err)
	}
	if len(b.soar.got) != 2 || len(b.worker.got) != 20 {
		t.Fatalf("the SOAR was asked %d times, want 2; the worker %d, want 20", len(b.soar.got), len(b.worker.got))
	}
	for i, r := range results {
		want := event.Pending
		if i == 0 {
			want = event.Indexed
		}
		if r.Outcome != want {
			t.Errorf("document %d is %v, want %v", i, r.Outcome, want)
		}
	}
	if results, err := b.write(docs[1:]...); err != nil || results[18].Outcome != event.Indexed {
		t.Fatalf("%v, %v", err, results)
	}
	if len(b.worker.got) != 20 {
		t.Errorf("the worker was asked again: %d acts", len(b.worker.got))
	}
	var order []string
	for _, a := range b.soar.got[2:] {
		order = append(order, a.Alert.ID)
	}
	if got := strings.Join(order, " "); len(order) != 19 || order[0] != "a01" || order[18] != "a19" {
		t.Errorf("the SOAR got %s", got)
	}
}

func TestAnInterruptedActIsTakenOnceMoreUnderTheSameLimit(t *testing.T) {
	b := newBench(t, Config{Enabled: true, MaxPerHour: 1}, Ask{Action: "open_case", To: []string{"soar"}})
	b.d.lanes[0].to.Responder = hanging{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	doc := alert("a1", "firing", "high", 0)
	results := make([]event.Result, 1)
	// Either way out, before the responder is asked or in the middle of it, leaves the document open.
	if err := b.d.Write(ctx, []*event.Document{doc}, results); !errors.Is(err, context.Canceled) || results[0].Outcome != event.Pending {
		t.Fatalf("%v, %v", err, results)
	}
	b.d.lanes[0].to.Responder = &b.soar
	if results, err := b.write(doc); err != nil || results[0].Outcome != event.Indexed || len(b.soar.got) != 1 {
		t.Errorf("%v, %v: %d acts, told %s", err, results, len(b.soar.got), b.statuses())
	}
}

// TestAStoreThatIsDownHoldsNoActUp: an outage of what stores the documents
// about acts is no reason not to pause a rollout.
func TestAStoreThatIsDownHoldsNoActUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Enabled: true, MaxPerHour: 10}, Ask{Action: "pause_rollout", To: []string{"worker"}}, Ask{Action: "open_case", To: []string{"worker"}})
		var told []int
		b.d.set.Publish = func(ctx context.Context, docs []*event.Document) error {
			b.mu.Lock()
			told = append(told, len(docs))
			b.mu.Unlock()
			<-ctx.Done()
			return context.Cause(ctx)
		}
		ctx, cancel := context.WithCancel(t.Context())
		for _, id := range []string{"a1", "a2"} { // Two partitions.
			go func() {
				_ = b.d.Write(ctx, []*event.Document{alert(id, "firing", "high", 0)}, make([]event.Result, 1)) // Its end is not what this is about.
			}()
		}
		synctest.Wait()
		if len(b.worker.got) != 4 {
			t.Errorf("the worker got %d acts, want 4", len(b.worker.got))
		}
		if !slices.Equal(told, []int{2, 2}) {
			t.Errorf("told of %v acts, want those of a batch at once", told)
		}
		cancel()
	})
}

// TestAResponderThatIsDownIsGivenUp: it costs one attempt now and then, and not
// one for every alert, until it is back.
func TestAResponderThatIsDownIsGivenUp(t *testing.T) {
	b := newBench(t, Config{Enabled: true, MaxPerHour: 100, GiveUpAfter: 30 * time.Second}, Ask{Action: "open_case"})
	down := fault.New(fault.Transient, fault.Unavailable, "down")
	b.soar.fails = []error{down, down, down}
	for _, step := range []struct {
		after           time.Duration
		alert           string
		asked           int // the SOAR, in all
		outcome         event.Outcome
		told, openError string
	}{
		{0, "a1", 1, event.Pending, "failed", ""},
		{31 * time.Second, "a1", 2, event.Refused, "given_up", "responder soar has failed for 31s: down"},
		{10 * time.Second, "a2", 2, event.Refused, "given_up", "responder soar has failed for 41s: down"},
		{10 * time.Second, "a3", 2, event.Refused, "given_up", "responder soar has failed for 51s: down"},
		{10 * time.Second, "a4", 3, event.Refused, "given_up", "responder soar has failed for 1m1s: down"},
		{29 * time.Second, "a5", 3, event.Refused, "given_up", "responder soar has failed for 1m30s: down"},
		{2 * time.Second, "a6", 4, event.Indexed, "sent", ""},
		{time.Second, "a5", 5, event.Indexed, "sent", ""}, // The alert has grown.
	} {
		b.now = b.now.Add(step.after)
		results, _ := b.write(alert(step.alert, "firing", "high", 0))
		if results[0].Outcome != step.outcome || step.openError != "" && results[0].Err.Error() != step.openError {
			t.Errorf("%s: %v, %v, want %v, %s", step.alert, results[0].Outcome, results[0].Err, step.outcome, step.openError)
		}
		if len(b.soar.got) != step.asked {
			t.Errorf("%s: the SOAR was asked %d times, want %d", step.alert, len(b.soar.got), step.asked)
		}
		told := ""
		for _, r := range b.responses() {
			if r["responder"] == "soar" {
				told = r["status"].(string)
			}
		}
		if told != step.told {
			t.Errorf("%s: told %s, want %s", step.alert, told, step.told)
		}
	}
	if len(b.worker.got) != 6 {
		t.Errorf("the worker got %d acts, want 6", len(b.worker.got))
	}
}
