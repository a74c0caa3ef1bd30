package kinds

import (
	"fmt"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/table"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// missed offers how far the events of a key come in the sequence, after one
// that completes nothing.
func (st *sequenceState) missed(e *table.Entry[sequenceKey], m *engine.Evaluation) {
	k := &e.Data
	if len(k.steps) == 0 || m.At <= k.used {
		return // They were used up by an alert.
	}
	w := missedSequence{st: st, key: e.Key, steps: k.steps}
	if st.p.anyOrder {
		w.anyOrder()
		return
	}
	w.ordered()
}

// missedSequence looks at the events of one key.
type missedSequence struct {
	st    *sequenceState
	key   string
	steps []stepEvent
}

// offer offers that some of the steps came; what of the next is in reason.
func (w *missedSequence) offer(at int64, reached float64, until int64, reason string, args ...any) {
	all := 0.0
	for _, absent := range w.st.p.absent {
		if !absent {
			all++
		}
	}
	if w.st.p.within > 0 {
		all++ // To stay away is a step, too.
	}
	w.st.NearMisses().Offer(engine.NearMiss{
		Rule: w.st.Rule(), Stage: engine.MissedBound, Key: w.key, At: at, Measure: "steps", Value: reached, Bound: all, Nearness: reached / all,
		Reason: fmt.Sprintf(reason, args...), Until: until,
	})
}

// came is how many steps that have to come there are up to one.
func (w *missedSequence) came(slot int) (n float64) {
	for _, absent := range w.st.p.absent[:slot+1] {
		if !absent {
			n++
		}
	}
	return n
}

// ordered follows the events as sequenceState.walk does, and offers where
// chains end.
func (w *missedSequence) ordered() {
	p := w.st.p
	var chains [maxSteps]chain
	final := len(p.absent) - 1
	if p.absent[final] {
		final--
	}
	for i := range w.steps {
		s := &w.steps[i]
		if p.absent[s.slot] {
			if chains[s.slot-1].valid {
				w.offer(s.at, w.came(s.slot-1)+0.2, 0, "had %q after %q, which must not come there", p.names[s.slot], p.names[s.slot-1])
			}
			chains[s.slot-1].valid = false
			continue
		}
		c := chain{valid: true}
		if s.slot > 0 {
			from := s.slot - 1
			if p.absent[from] {
				from--
			}
			if c = chains[from]; !c.valid {
				w.offer(s.at, 0.5, 0, "had %q without %q before it", p.names[s.slot], p.names[from])
				continue
			}
			if span := s.at - w.steps[c.path[0]].at; span > p.maxspan {
				w.offer(s.at, w.came(from)+0.5, 0, "had %q %s after %q; the rule asks for %s at most (maxspan)", p.names[s.slot], wording.Duration(span), p.names[0],
					wording.Duration(p.maxspan))
				continue
			}
		}
		c.path[s.slot] = int32(i)
		if s.slot == final {
			w.last(i, final)
			continue
		}
		if old := &chains[s.slot]; !old.valid || w.steps[old.path[0]].at <= w.steps[c.path[0]].at {
			*old = c
		}
		next := s.slot + 1
		if p.absent[next] {
			next++
		}
		w.offer(s.at, w.came(s.slot), w.steps[c.path[0]].at+p.maxspan, "had %q, step %d of %d, and %q was waited for (maxspan: %s)", p.names[s.slot], s.slot+1,
			len(p.names), p.names[next], wording.Duration(p.maxspan))
	}
}

// last offers a chain of which only the absent last step is left.
func (w *missedSequence) last(i, final int) {
	p, s := w.st.p, &w.steps[i]
	if p.within == 0 {
		return
	}
	name := p.names[final+1]
	end := s.at + p.within
	for j := i + 1; j < len(w.steps) && w.steps[j].at <= end; j++ {
		if w.steps[j].slot == final+1 && w.steps[j].number != s.number {
			w.offer(w.steps[j].at, w.came(final)+float64(w.steps[j].at-s.at)/float64(p.within), 0, "had %q %s after %q; the rule asks that it stays away for %s (within)", name,
				wording.Duration(w.steps[j].at-s.at), p.names[final], wording.Duration(p.within))
			return
		}
	}
	w.offer(s.at, w.came(final), end+p.grace, "had all steps that have to come, and whether %q stays away was not decided", name)
}

// anyOrder offers the most steps that came within maxspan.
func (w *missedSequence) anyOrder() {
	p := w.st.p
	for last := range w.steps {
		var seen [maxSteps]bool
		n, first := 0, last
		for i := last; i >= 0 && w.steps[last].at-w.steps[i].at <= p.maxspan; i-- {
			if slot := w.steps[i].slot; !seen[slot] {
				seen[slot] = true
				n, first = n+1, i
			}
		}
		var missing []string
		for slot, name := range p.names {
			if !seen[slot] {
				missing = append(missing, fmt.Sprintf("%q", name))
			}
		}
		if len(missing) > 0 {
			w.offer(w.steps[last].at, float64(n), w.steps[first].at+p.maxspan, "had %d of %d steps, and %s was waited for (maxspan: %s)", n, len(p.names),
				wording.Joined(missing), wording.Duration(p.maxspan))
		}
	}
}

// chain is a beginning of the sequence, of all that reach a step the one that
// began last.
type chain struct {
	valid bool
	path  [maxSteps]int32 // Places of the events.
}

// walk follows the events in order and calls found for every event that is the
// last of the steps that have to come, until it returns true.
func (st *sequenceState) walk(k *sequenceKey, found func(last int, c *chain) bool) {
	var chains [maxSteps]chain
	var c chain
	final := len(st.p.absent) - 1
	if st.p.absent[final] {
		final--
	}
	for i := range k.steps {
		slot := k.steps[i].slot
		if st.p.absent[slot] {
			chains[slot-1].valid = false // It breaks whatever waits at the step before.
			continue
		}
		c = chain{valid: true}
		if slot > 0 {
			from := slot - 1
			if st.p.absent[from] {
				from--
			}
			c = chains[from]
			if !c.valid || k.steps[i].at-k.steps[c.path[0]].at > st.p.maxspan {
				continue
			}
		}
		c.path[slot] = int32(i)
		if slot == final {
			if found(i, &c) {
				return
			}
		} else if old := &chains[slot]; !old.valid || k.steps[old.path[0]].at <= k.steps[c.path[0]].at {
			*old = c
		}
	}
}

// complete raises sequences that are complete with the new event.
func (st *sequenceState) complete(e *table.Entry[sequenceKey], m *engine.Evaluation) {
	if st.p.within > 0 {
		return // A timer looks whether the last step has stayed away.
	}
	if st.p.anyOrder {
		st.gather(e, m)
		return
	}
	st.walk(&e.Data, func(last int, c *chain) bool {
		st.raiseSequence(e, c, int(c.path[0]), last, m.Now, e.Data.steps[last].at, m.Event, m.Entity)
		return true
	})
}

// gather raises a sequence whose steps have come in any order. One event may be
// several steps.
func (st *sequenceState) gather(e *table.Entry[sequenceKey], m *engine.Evaluation) {
	k := &e.Data
	for last := range k.steps {
		var c chain
		found, first := 0, last
		for i := last; i >= 0 && k.steps[last].at-k.steps[i].at <= st.p.maxspan && found < len(st.p.names); i-- {
			if slot := k.steps[i].slot; c.path[slot] == 0 {
				c.path[slot] = int32(i) + 1
				found, first = found+1, i
			}
		}
		if found < len(st.p.names) {
			continue
		}
		for slot := range st.p.names {
			c.path[slot]--
		}
		st.raiseSequence(e, &c, first, last, m.Now, k.steps[last].at, m.Event, m.Entity)
		return
	}
}

// raise reports a sequence and uses up its events.
func (st *sequenceState) raiseSequence(e *table.Entry[sequenceKey], c *chain, start, last int, now, used int64, source *event.Event, agent *engine.Entity) {
	k := &e.Data
	var b []byte
	var said, hosts []string
	slot, end := 0, k.steps[last].slot
	if st.p.anyOrder {
		end = len(st.p.names) - 1
	}
	for ; slot <= end; slot++ {
		if st.p.absent[slot] {
			said = append(said, "no "+st.p.names[slot])
			continue
		}
		s := &k.steps[c.path[slot]]
		said = append(said, st.p.names[slot])
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"step":`...)
		b = event.AppendString(b, st.p.names[slot])
		b = append(b, `,"time":"`...)
		b = append(event.AppendTime(b, s.at), '"')
		if len(s.id) > 0 {
			b = append(b, `,"event_id":`...)
			b = event.AppendString(b, event.View(s.id))
		}
		b = append(b, '}')
		if s.entity != nil && !slices.Contains(hosts, s.entity.HostLabel()) {
			hosts = append(hosts, s.entity.HostLabel())
		}
	}
	if st.p.within > 0 {
		said = append(said, fmt.Sprintf("no %s for %s", st.p.names[slot], wording.Duration(st.p.within)))
	}
	first := k.steps[start].at
	f := finding{
		key: e.Key, at: now, start: first, end: used, source: source, hosts: hosts, count: int64(len(hosts)),
		evidence: []engine.Evidence{{Name: "steps", JSON: "[" + string(b) + "]"}, engine.Text("maxspan", wording.Duration(st.p.maxspan))},
	}
	if st.AboutAgents() {
		f.entity, f.hosts, f.count = agent, nil, 1
	}
	between := ", then "
	if st.p.anyOrder {
		between = " and "
	}
	f.reason = fmt.Sprintf("%s: %s", engine.Subject(f.entity, e.Key), strings.Join(said, between))
	if span := k.steps[last].at - first; span > 0 {
		f.reason += ", within " + wording.Duration(span)
	}
	st.found.report(&f)
	k.used = used
	n := 0
	for n < len(k.steps) && k.steps[n].at <= used {
		n++
	}
	st.drop(k, n)
}

// waiting returns the first complete chain whose absent last step has stayed
// away so far, with the time at which it has for long enough.
func (st *sequenceState) waiting(k *sequenceKey) (c chain, last int, due int64, ok bool) {
	breaker := len(st.p.absent) - 1
	st.walk(k, func(i int, found *chain) bool {
		end := k.steps[i].at + st.p.within
		if k.steps[i].at < st.stalled {
			return false
		}
		for j := i + 1; j < len(k.steps) && k.steps[j].at <= end; j++ {
			if k.steps[j].slot == breaker && k.steps[j].number != k.steps[i].number {
				return false
			}
		}
		c, last, due, ok = *found, i, end+st.p.grace, true
		return true
	})
	return c, last, due, ok
}
