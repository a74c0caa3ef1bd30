package httpx

import (
	"sync"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// Worst keeps the failure that matters most of those of one Write: one that
// needs an operator before one that passes, and the longest wait asked for.
// Its zero value is ready; it is safe for concurrent use.
type Worst struct {
	mu   sync.Mutex
	kept *fault.Error
}

// Add takes a failure into account; nil is none.
func (w *Worst) Add(err error) {
	f := fault.Of(err)
	if f == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kept == nil || rank(f) > rank(w.kept) {
		wait := f.RetryAfter
		if w.kept != nil {
			wait = max(wait, w.kept.RetryAfter)
		}
		copied := *f
		copied.RetryAfter = wait
		w.kept = &copied
		return
	}
	w.kept.RetryAfter = max(w.kept.RetryAfter, f.RetryAfter)
}

// rank orders failures: the operator's first, then overload, which asks for
// more patience than the rest.
func rank(f *fault.Error) int {
	switch {
	case f.Class == fault.Operator:
		return 2
	case f.Reason == fault.Overloaded:
		return 1
	}
	return 0
}

// Err returns the failure that matters most, nil when there was none.
func (w *Worst) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kept == nil {
		return nil
	}
	return w.kept
}
