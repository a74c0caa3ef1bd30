package kafka

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// budget bounds the bytes that a source holds. Whoever holds decompressed bytes
// never waits for more of either kind, so that nobody waits for ever; nor does a
// partition that the others wait for, which goes beyond the budget by one answer.
type budget struct {
	fetched, decompressed *bytesHeld
	buffers               [40]sync.Pool // of *[]byte, by the power of two that is their capacity
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

// acquire waits for n bytes; n is at most size. It returns what is to be released
// later: nothing where must was closed while it waited. Those who hold the bytes
// wait for this partition then, and it gets its answer beyond the budget.
func (b *bytesHeld) acquire(ctx context.Context, n int64, must <-chan struct{}) (held int64, err error) {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	if must != nil && !b.tryAcquire(n) {
		go func() {
			select {
			case <-must:
				stop()
			case <-waiting.Done():
			}
		}()
	} else if must != nil {
		return n, nil
	}
	if err := b.sem.Acquire(waiting, n); err != nil {
		return 0, ctx.Err()
	}
	b.held.Add(n)
	return n, nil
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

// bufferSize returns the capacity of the buffer for n bytes, at most limit.
func bufferSize(n, limit int64) int64 {
	return min(int64(1)<<bits.Len64(uint64(max(n, 1)-1)), limit)
}

// buffer returns an empty buffer whose capacity is exactly size.
func (b *budget) buffer(size int64) []byte {
	if size&(size-1) == 0 {
		if pooled, ok := b.buffers[bits.Len64(uint64(size))-1].Get().(*[]byte); ok {
			return (*pooled)[:0]
		}
	}
	return make([]byte, 0, size)
}

// recycle gives a buffer back for others to use.
func (b *budget) recycle(buffer []byte) {
	if size := cap(buffer); size > 0 && size&(size-1) == 0 {
		buffer = buffer[:0]
		b.buffers[bits.Len(uint(size))-1].Put(&buffer)
	}
}
