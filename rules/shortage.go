package rules

import (
	"fmt"
	"math"
	"time"

	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

// shortageReason is why a key was forgotten before its time.
type shortageReason uint8

const (
	tooMany  shortageReason = iota // rules.max_keys
	tooHeavy                       // rules.max_state
)

// String is the setting that was reached.
func (r shortageReason) String() string {
	return [...]string{"rules.max_keys", "rules.max_state"}[r]
}

// shortages tells, in a document for each rule, that keys are forgotten for want
// of room: who waits for an alert about them has to know that it may not come.
// To the session's clock it is one more state.
type shortages struct {
	noState
	s       *Session
	byRule  []shortage
	pending []int // Rules to tell of.
}

// shortage is that of one rule, from its first forgotten key to an hour
// without.
type shortage struct {
	episode
	firing bool
	reason shortageReason
	last   int64 // Clock of the last one.
}

// shortageEnds is how long nothing has to be forgotten.
const shortageEnds = int64(time.Hour)

// shortageKey is edr.alert.key of such a document.
const shortageKey = "memory"

// note takes note of a forgotten key.
func (h *shortages) note(number int, why shortageReason) {
	k := &h.byRule[number]
	k.last = h.s.now
	if k.firing {
		k.count++
		return
	}
	k.episode = begin(h.s.set.rules[number], shortageKey, h.s.now, shortageKey)
	k.count, k.firing, k.reason = 1, true, why
	h.pending = append(h.pending, number)
	h.s.wakeAt(k.last + shortageEnds)
}

// tell writes the documents of shortages that have begun.
func (h *shortages) tell() {
	for _, number := range h.pending {
		h.raise(number, "firing", h.s.now, fmt.Sprintf("the rule has forgotten the key that was not used for longest for want of room (%s); until it says otherwise more are forgotten, "+
			"and alerts about them may be missing", h.byRule[number].reason))
	}
	h.pending = h.pending[:0]
}

func (h *shortages) raise(place int, status string, at int64, reason string) {
	r, k := h.s.set.rules[place], &h.byRule[place]
	bytes, held := h.s.weightOf(place)
	h.s.raise(r, &k.episode, &alert{
		at: at, end: k.last, status: status, key: shortageKey, scope: "pipeline", notice: true, reason: reason,
		evidence: []pair{
			text("limit", k.reason.String()), number("forgotten_keys", k.count), number("keys", int64(held)), number("bytes", bytes),
			number("max_keys", int64(h.s.maxKeys)), number("max_state", h.s.maxState),
		},
	})
}

func (h *shortages) next() int64 {
	due := int64(math.MaxInt64)
	for i := range h.byRule {
		if k := &h.byRule[i]; k.firing {
			due = min(due, k.last+shortageEnds)
		}
	}
	return due
}

func (h *shortages) fire(due int64) {
	for i := range h.byRule {
		if k := &h.byRule[i]; k.firing && k.last+shortageEnds <= due {
			k.firing = false
			h.raise(i, "resolved", due, fmt.Sprintf("no key was forgotten for %s; %s before", duration(shortageEnds), plural(k.count, "key")))
			return
		}
	}
}

// end ends the shortage of a rule that goes.
func (h *shortages) end(number int, end func(openAlert)) {
	if k := &h.byRule[number]; k.firing {
		end(openAlert{episode: &k.episode, key: shortageKey, scope: "pipeline"})
	}
}

// persist writes or reads a shortage that goes on.
func (k *shortage) persist(c *snapshot.Codec) {
	k.firing = true
	k.episode.persist(&archive{Codec: c})
	snapshot.Int(c, &k.reason)
	c.Time(&k.last)
	if k.reason > tooHeavy {
		c.Fail("expected a limit, found %d", k.reason)
	}
}

// relieve forgets keys, of the heaviest rule always the one that was not used
// for longest, until the session is a little below its limit.
func (s *Session) relieve() {
	for target := s.maxState - s.maxState/64; s.account.bytes > target; {
		var heaviest table
		most, keys := int64(0), 0
		for _, list := range s.tables {
			for _, t := range list {
				if bytes, held := t.weight(); bytes > most {
					heaviest, most, keys = t, bytes, held
				}
			}
		}
		if heaviest == nil {
			return
		}
		for range max(keys/64, 1) {
			if heaviest.relieve(); s.account.bytes <= target {
				return
			}
		}
	}
}

// stateBytes is what the state of all rules takes, as it is estimated.
func (s *Session) stateBytes() int64 { return s.account.bytes }

// weightOf is the bytes and keys of a rule.
func (s *Session) weightOf(number int) (bytes int64, held int) {
	for i, t := range s.tables[number] {
		b, n := t.weight()
		if bytes += b; i == 0 {
			held = n // The second table is of episodes.
		}
	}
	return bytes, held
}
