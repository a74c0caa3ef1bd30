package respond

import "time"

// bucket bounds how often an action is taken: a token bucket that holds an
// hour's worth.
type bucket struct {
	left float64
	at   time.Time
}

func (b *bucket) takeToken(now time.Time, perHour int) bool {
	if b.at.IsZero() {
		b.left = float64(perHour)
	} else if d := now.Sub(b.at); d > 0 {
		b.left = min(b.left+float64(perHour)*d.Hours(), float64(perHour))
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// taken remembers the acts that are done, the last maxTaken of them.
type taken struct {
	done  map[string]bool
	order []string
	next  int
}

// maxTaken bounds the acts that are remembered, at about 100 bytes each.
const maxTaken = 10_000

func (t *taken) has(id string) bool { return t.done[id] }

func (t *taken) add(id string) {
	if t.done[id] {
		return
	}
	if t.done == nil {
		t.done = map[string]bool{}
	}
	t.done[id] = true
	if len(t.order) < maxTaken {
		t.order = append(t.order, id)
		return
	}
	delete(t.done, t.order[t.next])
	t.order[t.next] = id
	t.next = (t.next + 1) % maxTaken
}
