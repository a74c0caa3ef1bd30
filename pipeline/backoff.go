package pipeline

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is the waiting between attempts: exponential from Min to Max with
// full jitter, so that many gateways do not come back in step
// (aws.amazon.com/blogs/architecture, "Exponential Backoff And Jitter").
type Backoff struct {
	Min time.Duration `yaml:"min"`
	Max time.Duration `yaml:"max"`
}

// wait blocks for the attempt-th pause (from 0), at least as long as the other
// side asked for, and reports whether ctx still lives.
func (b Backoff) wait(ctx context.Context, attempt int, asked time.Duration) bool {
	ceiling := b.Max
	if attempt < 30 && b.Min<<attempt > 0 {
		ceiling = min(b.Max, b.Min<<attempt)
	}
	pause := max(asked, b.Min/2+rand.N(max(ceiling-b.Min/2, 1)))
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
