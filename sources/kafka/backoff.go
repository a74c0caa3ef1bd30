package kafka

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff waits longer from failure to failure, from 100 ms to 5 s, with
// jitter so that partitions do not knock together.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: 100 * time.Millisecond} }

func (b *backoff) reset() { b.next = 100 * time.Millisecond }

func (b *backoff) sleep(ctx context.Context) {
	timer := time.NewTimer(b.next/2 + rand.N(b.next/2))
	defer timer.Stop()
	b.next = min(2*b.next, 5*time.Second)
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
