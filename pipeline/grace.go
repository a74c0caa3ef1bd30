package pipeline

import (
	"context"
	"time"
)

// withGrace returns a context that outlives the end of parent by grace, so
// that a write in progress can become an acknowledgement instead of work that
// the next owner repeats.
func withGrace(parent context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		time.AfterFunc(grace, func() { cancel(context.Cause(parent)) })
	})
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}
