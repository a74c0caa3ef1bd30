package sourcetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// handler replaces what a worker does with a batch of the p-th partition of
// the input; nil acknowledges everything.
type handler func(ctx context.Context, p int, b *event.Batch) error

// deliveries records what a source delivers and checks it on the way.
type deliveries struct {
	t  *testing.T
	in Input

	mu      sync.Mutex
	where   map[string]int // value -> partition of the input
	acks    [][]string     // acknowledged values, per partition
	handled map[string]int // value -> deliveries
	fresh   map[string]int // value -> deliveries at or above Committed
	workers map[event.Partition]*worker
	started map[int]bool
	faults  []string
}

func newLog(t *testing.T, in Input) *deliveries {
	d := &deliveries{
		t: t, in: in,
		where: make(map[string]int), acks: make([][]string, len(in)), handled: make(map[string]int), fresh: make(map[string]int),
		workers: make(map[event.Partition]*worker), started: make(map[int]bool),
	}
	for p, values := range in {
		for _, value := range values {
			d.where[value] = p
		}
	}
	return d
}

func (d *deliveries) open(handle handler) func(context.Context, event.Partition) (event.Worker, error) {
	return func(_ context.Context, p event.Partition) (event.Worker, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if old, ok := d.workers[p]; ok && !old.closed {
			d.fault("partition %v was opened while its worker is still open", p)
		}
		if p.Prefix == "" {
			d.fault("partition %v has no prefix for its ids", p)
		}
		w := &worker{log: d, partition: p, handle: handle, last: -1}
		d.workers[p] = w
		return w, nil
	}
}

// worker is the recording Worker of one partition.
type worker struct {
	log       *deliveries
	partition event.Partition
	handle    handler
	busy      bool
	closed    bool
	last      int64
}

// Handle checks the batch, passes it to the handler and records its answer.
func (w *worker) Handle(ctx context.Context, b *event.Batch) error {
	d := w.log
	if len(b.Records) == 0 {
		d.faultLocked("a batch of %v is empty", b.Partition)
		return nil
	}
	p := d.enter(w, b)
	before := make([]string, len(b.Records))
	for i := range b.Records {
		before[i] = string(b.Records[i].Value)
	}
	var err error
	if w.handle != nil && p >= 0 {
		err = w.handle(ctx, p, b)
	}
	runtime.Gosched() // gives a source that reuses its buffers too early the chance to do so
	d.mu.Lock()
	defer d.mu.Unlock()
	w.busy = false
	for i := range b.Records {
		if string(b.Records[i].Value) != before[i] {
			d.fault("record %d of %v changed while it was handled", b.Records[i].Offset, b.Partition)
		}
	}
	if err == nil && p >= 0 {
		for i := range b.Records {
			if b.Records[i].Offset >= b.Committed {
				d.acks[p] = append(d.acks[p], string(b.Records[i].Value))
			}
		}
	}
	return err
}

// enter checks a batch on arrival and returns the partition of the input that
// it belongs to.
func (d *deliveries) enter(w *worker, b *event.Batch) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case w.closed:
		d.fault("Handle of %v after Close", w.partition)
	case w.busy:
		d.fault("two batches of %v at a time", w.partition)
	case b.Partition != w.partition:
		d.fault("the worker of %v got a batch of %v", w.partition, b.Partition)
	}
	w.busy = true
	partition := -1
	for i := range b.Records {
		r := &b.Records[i]
		if r.Offset <= w.last {
			d.fault("offset %d of %v follows %d", r.Offset, w.partition, w.last)
		}
		w.last = r.Offset
		value := string(r.Value)
		p, known := d.where[value]
		if !known || r.Fault != nil {
			d.fault("a record that is none of the input: %q (fault %v)", value, r.Fault)
			continue
		}
		if partition >= 0 && p != partition {
			d.fault("a batch mixes partitions %d and %d", partition, p)
		}
		partition = p
		d.started[p] = true
		d.handled[value]++
		if r.Offset >= b.Committed {
			d.fresh[value]++
		}
	}
	return partition
}

// Close marks the worker closed.
func (w *worker) Close() {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	switch {
	case w.closed:
		w.log.fault("%v was closed twice", w.partition)
	case w.busy:
		w.log.fault("%v was closed while it handles a batch", w.partition)
	}
	w.closed = true
}

func (d *deliveries) fault(format string, args ...any) {
	d.faults = append(d.faults, fmt.Sprintf(format, args...))
}

func (d *deliveries) faultLocked(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault(format, args...)
}

// afterRun checks that nothing is left open.
func (d *deliveries) afterRun() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p, w := range d.workers {
		if !w.closed {
			d.fault("Run returned without closing %v", p)
		}
	}
}

// check reports what was found wrong, and whether acknowledged records are a
// gapless beginning of each partition.
func (d *deliveries) check() {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, fault := range d.faults {
		d.t.Error(fault)
	}
	d.faults = nil
	for p, acks := range d.acks {
		if len(acks) > len(d.in[p]) || !slices.Equal(acks, d.in[p][:len(acks)]) {
			d.t.Errorf("partition %d: the acknowledged records are not its beginning in order: %d of %d", p, len(acks), len(d.in[p]))
		}
	}
}

// again runs the source a second time and requires the records that were not
// acknowledged, and no other, as new ones.
func (d *deliveries) again(source Source, want int) {
	d.t.Helper()
	d.mu.Lock()
	clear(d.fresh)
	clear(d.workers)
	before := make([]int, len(d.acks))
	for p := range d.acks {
		before[p] = len(d.acks[p])
	}
	d.mu.Unlock()
	runUntil(d.t, source, d, nil, d.complete)
	d.check()
	if len(d.fresh) != want {
		d.t.Errorf("%d records were delivered as new by the second run, want %d", len(d.fresh), want)
	}
	for p, n := range before {
		for _, value := range d.in[p][:n] {
			if d.fresh[value] > 0 {
				d.t.Errorf("%s was delivered as new after it was acknowledged", value)
			}
		}
	}
}

func (d *deliveries) complete() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p := range d.in {
		if len(d.acks[p]) < len(d.in[p]) {
			return false
		}
	}
	return true
}

func (d *deliveries) acknowledged(p int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.acks[p])
}

func (d *deliveries) entered(p int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.started[p]
}

func (d *deliveries) opened() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.workers)
}

func (d *deliveries) state() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d workers opened", len(d.workers))
	for p, acks := range d.acks {
		fmt.Fprintf(&b, ", partition %d: %d of %d acknowledged", p, len(acks), len(d.in[p]))
	}
	for _, fault := range d.faults {
		b.WriteString("; " + fault)
	}
	return b.String()
}
