package app

import (
	"sync"
	"time"
)

// rate estimates records per second between calls that are at least a second
// apart. It is safe for concurrent use.
type rate struct {
	mu    sync.Mutex
	at    time.Time
	count uint64
	value float64
}

func (r *rate) perSecond(now time.Time, records map[string]uint64) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := uint64(0)
	for outcome, n := range records {
		if outcome != "in_flight" {
			count += n
		}
	}
	elapsed := now.Sub(r.at)
	if elapsed < time.Second {
		return r.value
	}
	if !r.at.IsZero() && count >= r.count {
		r.value = float64(count-r.count) / elapsed.Seconds()
	}
	r.at, r.count = now, count
	return r.value
}
