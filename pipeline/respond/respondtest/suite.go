// Package respondtest is the contract of a responder as tests: whoever writes one
// runs [Run] against it and its [Receiver], and knows that the dispatcher can rely
// on it.
//
// The contract: nil means that the receiver has the act; a failure that passes is
// not permanent, and the same act sent again arrives; an act is neither changed nor
// kept after Send returns; Send observes its context and is safe for concurrent use.
package respondtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/respond"
)

// Receiver is what a responder sends to, as a test sees it. It is safe for
// concurrent use.
type Receiver interface {
	// Alerts returns the ids of the alerts of all acts that it has, in any order,
	// repetitions included.
	Alerts() []string
	// Break makes it refuse everything for a reason that passes by itself, or take
	// everything again.
	Break(broken bool)
}

// patience is how long a test waits for what must happen at once.
const patience = 20 * time.Second

// Run tests the responders that open returns, each subtest a fresh pair. Name is
// the type of the responder in the configuration; a test demands a Run of each.
func Run(t *testing.T, name string, open func(t *testing.T) (respond.Responder, Receiver)) {
	for _, test := range []struct {
		name string
		test func(t *testing.T, r respond.Responder, to Receiver)
	}{
		{"delivers the beginning and the end", testDelivers},
		{"is safe for concurrent use", testConcurrent},
		{"neither changes nor keeps an act", testKeepsNothing},
		{"tries again after a failure that passes", testFailure},
		{"returns when cancelled", testCancelled},
	} {
		t.Run(name+" "+test.name, func(t *testing.T) {
			r, to := open(t)
			test.test(t, r, to)
		})
	}
}

// newAct returns an act about the alert with an id.
func newAct(alert string) *respond.Act {
	return &respond.Act{
		Schema: respond.Schema, ID: "act-" + alert, Action: "notify", Responder: "contract", Parameters: map[string]string{"ring": "canary"},
		Requested: time.Date(2026, 7, 19, 4, 9, 0, 0, time.UTC),
		Alert: respond.Alert{ID: alert, Status: "firing", Kind: "bad_rollout", Severity: "critical", Scope: "fleet", Reason: "12 of 933 failed",
			Count: 12, Denominator: 933, Hosts: []string{"h1", "h2"}, Start: "2026-07-19T04:00:00Z", EventID: "e-" + alert},
		Rule:    respond.Rule{ID: "r1", Name: "Bad rollout", Version: "1"},
		Subject: respond.Subject{Product: "crowdstrike-falcon", ContentVersion: "32", Verdict: "rollback"},
	}
}

func send(t *testing.T, r respond.Responder, a *respond.Act) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := r.Send(ctx, a); err != nil {
		t.Errorf("sending an act about %s: %v", a.Alert.ID, err)
	}
}

func testDelivers(t *testing.T, r respond.Responder, to Receiver) {
	first := newAct("a1")
	send(t, r, first)
	if got := to.Alerts(); !slices.Equal(got, []string{"a1"}) {
		t.Fatalf("the receiver has %v when Send returns, want [a1]", got)
	}
	first.Alert.Status = "resolved"
	send(t, r, first)
	if got := to.Alerts(); !slices.Equal(got, []string{"a1", "a1"}) {
		t.Errorf("the receiver has %v after the end of the alert, want it twice", got)
	}
}

func testConcurrent(t *testing.T, r respond.Responder, to Receiver) {
	var group sync.WaitGroup
	var want []string
	for i := range 16 {
		id := fmt.Sprintf("a%02d", i)
		want = append(want, id)
		group.Go(func() { send(t, r, newAct(id)) })
	}
	group.Wait()
	if got := slices.Sorted(slices.Values(to.Alerts())); !slices.Equal(got, want) {
		t.Errorf("the receiver has %v, want %v", got, want)
	}
}

func testKeepsNothing(t *testing.T, r respond.Responder, to Receiver) {
	a := newAct("a1")
	send(t, r, a)
	if !reflect.DeepEqual(a, newAct("a1")) {
		t.Errorf("the act was changed: %+v", a)
	}
	*a = *newAct("scribbled")
	send(t, r, newAct("a2"))
	if got := slices.Sorted(slices.Values(to.Alerts())); !slices.Equal(got, []string{"a1", "a2"}) {
		t.Errorf("the receiver has %v, want [a1 a2]", got)
	}
}

func testFailure(t *testing.T, r respond.Responder, to Receiver) {
	to.Break(true)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := r.Send(ctx, newAct("a1"))
	if f := fault.Of(err); f == nil || f.Class == fault.Permanent || ctx.Err() != nil {
		t.Fatalf("a failure that passes is reported as %v", err)
	}
	if got := to.Alerts(); len(got) > 0 {
		t.Fatalf("the receiver has %v although it refused", got)
	}
	to.Break(false)
	send(t, r, newAct("a1"))
	if got := to.Alerts(); !slices.Equal(got, []string{"a1"}) {
		t.Errorf("the receiver has %v, want [a1]", got)
	}
}

func testCancelled(t *testing.T, r respond.Responder, to Receiver) {
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the gateway stops")
	cancel(gone)
	began := time.Now()
	if _, err := r.Send(ctx, newAct("a1")); !errors.Is(err, gone) && !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled Send returns %v", err)
	}
	if took := time.Since(began); took > patience/4 {
		t.Errorf("a cancelled Send returns after %s", took)
	}
	send(t, r, newAct("a2"))
	if got := to.Alerts(); !slices.Contains(got, "a2") {
		t.Errorf("the receiver has %v after another act was cancelled", got)
	}
}
