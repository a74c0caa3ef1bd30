package kafka

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// budget bounds the bytes that a source holds. Whoever holds decompressed bytes
// never waits for more of either kind, so that nobody waits for ever.
type budget struct {
	fetched, decompressed *bytesHeld
	buffers               sync.Pool // of *[]byte
}

func newBudget(total int64) *budget {
	return &budget{fetched: newBytesHeld(total / 2), decompressed: newBytesHeld(total / 2)}
}

// bytesHeld is a counting semaphore of bytes.
type bytesHeld struct {
	sem  *semaphore.Weighted
	size int64
	held atomic.Int64
}

func newBytesHeld(size int64) *bytesHeld {
	return &bytesHeld{sem: semaphore.NewWeighted(size), size: size}
}

// acquire waits for n bytes; n is at most size.
func (b *bytesHeld) acquire(ctx context.Context, n int64) error {
	if err := b.sem.Acquire(ctx, n); err != nil {
		return err
	}
	b.held.Add(n)
	return nil
}

// tryAcquire takes n bytes if they are free.
func (b *bytesHeld) tryAcquire(n int64) bool {
	if !b.sem.TryAcquire(n) {
		return false
	}
	b.held.Add(n)
	return true
}

func (b *bytesHeld) release(n int64) {
	if n > 0 {
		b.held.Add(-n)
		b.sem.Release(n)
	}
}

// buffer returns an empty buffer with room for at least n bytes.
func (b *budget) buffer(n int) []byte {
	if pooled, ok := b.buffers.Get().(*[]byte); ok && cap(*pooled) >= n {
		return (*pooled)[:0]
	}
	return make([]byte, 0, n)
}

// recycle gives a buffer back for others to use.
func (b *budget) recycle(buffer []byte) {
	if cap(buffer) > 0 {
		buffer = buffer[:0]
		b.buffers.Put(&buffer)
	}
}
