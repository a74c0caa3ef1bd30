package httpx

import (
	"container/list"
	"context"
	"sync"
)

// Limiter bounds the requests and bytes in flight to one destination. The
// number of requests adapts: it is halved when the server says that it is
// overloaded and grows by one per round of accepted requests (AIMD, as TCP's
// congestion avoidance, RFC 5681). It is safe for concurrent use and serves
// waiters in order.
type Limiter struct {
	maxRequests int
	maxBytes    int64

	mu       sync.Mutex
	window   float64 // permitted requests, 1 to maxRequests
	requests int
	bytes    int64
	round    uint64 // grows with each halving
	waiters  list.List
}

type waiter struct {
	bytes   int64
	granted chan struct{}
}

// NewLimiter returns a limiter that starts fully open.
func NewLimiter(maxRequests int, maxBytes int64) *Limiter {
	return &Limiter{maxRequests: maxRequests, maxBytes: maxBytes, window: float64(maxRequests)}
}

// Permit is the right to have one request in flight. Its holder calls exactly
// one of Accepted, Overloaded and Done.
type Permit struct {
	limiter *Limiter
	bytes   int64
	round   uint64
}

// Acquire waits until a request of the given size may be sent. A request
// larger than the limit is let through alone. The error is ctx's.
func (l *Limiter) Acquire(ctx context.Context, bytes int64) (Permit, error) {
	l.mu.Lock()
	if l.waiters.Len() == 0 && l.fits(bytes) {
		defer l.mu.Unlock()
		return l.take(bytes), ctx.Err()
	}
	w := &waiter{bytes: bytes, granted: make(chan struct{})}
	place := l.waiters.PushBack(w)
	l.mu.Unlock()

	select {
	case <-w.granted:
		l.mu.Lock()
		defer l.mu.Unlock()
		return Permit{limiter: l, bytes: bytes, round: l.round}, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-w.granted:
		l.requests--
		l.bytes -= bytes
	default:
		l.waiters.Remove(place)
	}
	l.grant()
	return Permit{}, ctx.Err()
}

// Window is how many requests may be in flight now.
func (l *Limiter) Window() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.window)
}

// Accepted ends a request that the server took.
func (p Permit) Accepted() {
	p.release(func(l *Limiter) { l.window = min(l.window+1/l.window, float64(l.maxRequests)) })
}

// Overloaded ends a request that the server put off. Requests that were in
// flight together halve the window only once.
func (p Permit) Overloaded() {
	p.release(func(l *Limiter) {
		if p.round == l.round {
			l.window = max(l.window/2, 1)
			l.round++
		}
	})
}

// Done ends a request that says nothing about the server's load.
func (p Permit) Done() { p.release(func(*Limiter) {}) }

func (p Permit) release(adapt func(*Limiter)) {
	l := p.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests--
	l.bytes -= p.bytes
	adapt(l)
	l.grant()
}

func (l *Limiter) fits(bytes int64) bool {
	return l.requests == 0 || l.requests < int(l.window) && l.bytes+bytes <= l.maxBytes
}

func (l *Limiter) take(bytes int64) Permit {
	l.requests++
	l.bytes += bytes
	return Permit{limiter: l, bytes: bytes, round: l.round}
}

// grant lets waiters in, in order.
func (l *Limiter) grant() {
	for first := l.waiters.Front(); first != nil; first = l.waiters.Front() {
		w := first.Value.(*waiter)
		if !l.fits(w.bytes) {
			return
		}
		l.take(w.bytes)
		l.waiters.Remove(first)
		close(w.granted)
	}
}
