package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// deadline bounds every wait of the suite; a source that keeps the contract
// never comes near it.
const deadline = 30 * time.Second

// Source is what is tested: pipeline.Source.
type Source interface {
	Run(ctx context.Context, open func(ctx context.Context, p event.Partition) (event.Worker, error)) error
}

// Input is what a source shall deliver: for each partition the values of its
// records in order. All values are different.
type Input [][]string

// Setup puts an input where the source reads it and returns a function that
// makes the source. Every source so made shares the memory of what was
// acknowledged: it is the same program, started again.
type Setup func(t *testing.T, in Input) func() Source

// Run runs the contract as subtests.
func Run(t *testing.T, setup Setup) {
	for _, tc := range []struct {
		name string
		test func(t *testing.T, setup Setup)
	}{
		{"every record is delivered once and in order", testOrder},
		{"partitions run concurrently", testConcurrency},
		{"a record is acknowledged by the return alone", testAcknowledgement},
		{"what failed is delivered again", testFailure},
		{"what was cancelled is delivered again", testCancel},
		{"a worker that cannot be opened ends the run", testOpenError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ignore := goleak.IgnoreCurrent()
			// Cleanups of the setup, such as stopping a broker, run before this.
			t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
			tc.test(t, setup)
		})
	}
}

func input(partitions, records int) Input {
	in := make(Input, partitions)
	for p := range in {
		for i := range records {
			in[p] = append(in[p], fmt.Sprintf(`{"partition":%d,"record":%d}`, p, i))
		}
	}
	return in
}

// testOrder reads an input to its end, twice: the second time nothing is left.
func testOrder(t *testing.T, setup Setup) {
	in := input(3, 500)
	source := setup(t, in)
	log := newLog(t, in)
	runUntil(t, source(), log, nil, log.complete)
	log.check()
	for value, n := range log.handled {
		if n != 1 {
			t.Errorf("%s was acknowledged and then delivered again: %d deliveries", value, n)
		}
	}
	again := newLog(t, in)
	// A source without an end has nothing to say here; it is stopped as soon as
	// it has opened its partitions, which it does before it reads.
	runUntil(t, source(), again, nil, func() bool { return again.opened() == len(in) })
	for value := range again.fresh {
		t.Errorf("%s was delivered as new after it was acknowledged", value)
	}
}

// testConcurrency lets the first batch of each partition wait for those of the
// others.
func testConcurrency(t *testing.T, setup Setup) {
	in := input(3, 10)
	source := setup(t, in)
	log := newLog(t, in)
	arrived := make(chan struct{}, len(in))
	all := make(chan struct{})
	go func() {
		defer close(all)
		for range in {
			select {
			case <-arrived:
			case <-t.Context().Done():
				return
			}
		}
	}()
	first := make([]bool, len(in))
	handle := func(ctx context.Context, p int, _ *event.Batch) error {
		if first[p] {
			return nil
		}
		first[p] = true
		arrived <- struct{}{}
		select {
		case <-all:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	runUntil(t, source(), log, handle, log.complete)
	log.check()
}

// testAcknowledgement stops one partition in its first batch while another
// goes on (a source that reads both from one file may stop it too, after a
// while): what was handled but did not return must come again.
func testAcknowledgement(t *testing.T, setup Setup) {
	in := input(2, 200)
	source := setup(t, in)
	log := newLog(t, in)
	handle := func(ctx context.Context, p int, _ *event.Batch) error {
		if p == 0 {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	runUntil(t, source(), log, handle, func() bool { return log.acknowledged(1) > 0 && log.entered(0) })
	log.check()
	if n := log.acknowledged(0); n != 0 {
		t.Fatalf("%d records acknowledged in a partition whose worker never returned nil", n)
	}
	log.again(source(), len(in[0])+len(in[1])-log.acknowledged(1))
}

// testFailure returns an error from the middle of the input.
func testFailure(t *testing.T, setup Setup) {
	in := input(2, 200)
	source := setup(t, in)
	log := newLog(t, in)
	broken := errors.New("the worker broke")
	handle := func(_ context.Context, p int, b *event.Batch) error {
		if p == 0 && slices.ContainsFunc(b.Records, func(r event.Record) bool { return string(r.Value) == in[0][100] }) {
			return broken
		}
		return nil
	}
	err := run(t, source(), log, handle, func() bool { return false })
	if !errors.Is(err, broken) {
		t.Fatalf("Run returned %v after a worker failed while its context was alive, want the worker's error", err)
	}
	log.check()
	if slices.Contains(log.acks[0], in[0][100]) {
		t.Fatal("the record that failed counts as acknowledged")
	}
	log.again(source(), len(in[0])+len(in[1])-log.acknowledged(0)-log.acknowledged(1))
}

// testCancel ends the context in the middle of a batch that does not finish.
func testCancel(t *testing.T, setup Setup) {
	in := input(1, 300)
	source := setup(t, in)
	log := newLog(t, in)
	reached := make(chan struct{})
	handle := func(ctx context.Context, _ int, b *event.Batch) error {
		if slices.ContainsFunc(b.Records, func(r event.Record) bool { return string(r.Value) == in[0][150] }) {
			close(reached)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	runUntil(t, source(), log, handle, func() bool {
		select {
		case <-reached:
			return true
		default:
			return false
		}
	})
	log.check()
	log.again(source(), len(in[0])-log.acknowledged(0))
}

func testOpenError(t *testing.T, setup Setup) {
	source := setup(t, input(2, 5))()
	broken := errors.New("no worker today")
	done := make(chan error, 1)
	go func() {
		done <- source.Run(t.Context(), func(context.Context, event.Partition) (event.Worker, error) { return nil, broken })
	}()
	select {
	case err := <-done:
		if !errors.Is(err, broken) {
			t.Errorf("Run returned %v, want the error of open", err)
		}
	case <-time.After(deadline):
		t.Error("Run goes on without a worker")
	}
}

// runUntil runs the source until enough holds, ends its context and requires
// that it returns nil.
func runUntil(t *testing.T, source Source, log *deliveries, handle handler, enough func() bool) {
	t.Helper()
	if err := run(t, source, log, handle, enough); err != nil {
		t.Fatalf("Run returned %v", err)
	}
}

func run(t *testing.T, source Source, log *deliveries, handle handler, enough func() bool) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- source.Run(ctx, log.open(handle)) }()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	timeout := time.After(deadline)
	for !enough() {
		select {
		case err := <-done: // a finite input, or an error
			log.afterRun()
			return err
		case <-poll.C:
		case <-timeout:
			cancel()
			<-done
			t.Fatalf("the source did not deliver in %v: %s", deadline, log.state())
		}
	}
	cancel()
	select {
	case err := <-done:
		log.afterRun()
		return err
	case <-time.After(deadline):
		t.Fatalf("Run did not return within %v after its context ended", deadline)
		return nil
	}
}
