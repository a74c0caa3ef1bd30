package engine

import (
	"fmt"
	"math"
	"time"

	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/table"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// shortages says, in a document for each rule, that keys are forgotten because
// there is no room for them: who waits for an alert about them has to know that it may not come.
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
	Episode
	reason table.Reason
	last   int64 // Clock of the last one.
}

// shortageEnds is how long nothing has to be forgotten.
const shortageEnds = int64(time.Hour)

// shortageKey is edr.alert.key of such a document.
const shortageKey = "memory"

// noteForgotten takes note of a forgotten key.
func (h *shortages) noteForgotten(number int, why table.Reason) {
	k := &h.byRule[number]
	k.last = h.s.now
	if k.Firing() {
		k.Count++
		return
	}
	k.Episode = BeginEpisode(h.s.set.rules[number], shortageKey, h.s.now, shortageKey)
	k.Count, k.reason = 1, why
	h.pending = append(h.pending, number)
	h.s.wakeAt(k.last + shortageEnds)
}

// raisePending writes the documents of shortages that have begun.
func (h *shortages) raisePending() {
	for _, number := range h.pending {
		h.raise(number, "firing", h.s.now, fmt.Sprintf("the rule has forgotten its least recently used key, because a limit is reached (%s); until it says otherwise more are forgotten, "+
			"and alerts about them may be missing", h.byRule[number].reason))
	}
	h.pending = h.pending[:0]
}

func (h *shortages) raise(place int, status string, at int64, reason string) {
	r, k := h.s.set.rules[place], &h.byRule[place]
	bytes, held := h.s.weightOf(place)
	h.s.raise(r, &k.Episode, &Alert{
		At: at, End: k.last, Status: status, Key: shortageKey, Scope: "pipeline", notice: true, Reason: reason,
		Evidence: []Evidence{
			Text("limit", k.reason.String()), Number("forgotten_keys", k.Count), Number("keys", int64(held)), Number("bytes", bytes),
			Number("max_keys", int64(h.s.maxKeys)), Number("max_state", h.s.maxState),
		},
	})
}

func (h *shortages) Next() int64 {
	due := int64(math.MaxInt64)
	for i := range h.byRule {
		if k := &h.byRule[i]; k.Firing() {
			due = min(due, k.last+shortageEnds)
		}
	}
	return due
}

func (h *shortages) Fire(due int64) {
	for i := range h.byRule {
		if k := &h.byRule[i]; k.Firing() && k.last+shortageEnds <= due {
			k.Resolve()
			h.raise(i, "resolved", due, fmt.Sprintf("no key was forgotten for %s; %s before", wording.Duration(shortageEnds), wording.Plural(k.Count, "key")))
			return
		}
	}
}

// endShortage ends the shortage of a rule that goes.
func (h *shortages) endShortage(number int, end func(OpenAlert)) {
	if k := &h.byRule[number]; k.Firing() {
		end(OpenAlert{Episode: &k.Episode, Key: shortageKey, Scope: "pipeline"})
	}
}

// persist writes or reads a shortage that goes on.
func (k *shortage) persist(c *snapshot.Codec) {
	k.State = Firing
	k.Episode.Persist(&Archive{Codec: c})
	snapshot.Int(c, &k.reason)
	c.Time(&k.last)
	if k.reason > table.TooHeavy {
		c.Fail("expected a limit, found %d", k.reason)
	}
}

// relieve forgets keys, of the heaviest rule always the one that was not used
// for longest, until the session is a little below its limit.
func (s *Session) relieve() {
	for target := s.maxState - s.maxState/64; s.account.Bytes > target; {
		var heaviest table.Accounted
		most, keys := int64(0), 0
		for _, list := range s.tables {
			for _, t := range list {
				if bytes, held := t.Weight(); bytes > most {
					heaviest, most, keys = t, bytes, held
				}
			}
		}
		if heaviest == nil {
			return
		}
		for range max(keys/64, 1) {
			if heaviest.ForgetOldest(); s.account.Bytes <= target {
				return
			}
		}
	}
}

// StateBytes is what the state of all rules takes, as it is estimated.
func (s *Session) StateBytes() int64 { return s.account.Bytes }

// weightOf is the bytes and keys of a rule.
func (s *Session) weightOf(number int) (bytes int64, held int) {
	for i, t := range s.tables[number] {
		b, n := t.Weight()
		if bytes += b; i == 0 {
			held = n // The second table is of episodes.
		}
	}
	return bytes, held
}
