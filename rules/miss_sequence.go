package rules

import "fmt"

// missed offers how far the events of a key come in the sequence, after one
// that completes nothing.
func (st *sequenceState) missed(e *entry[sequenceKey], m *moment) {
	k := &e.data
	if len(k.steps) == 0 || m.at <= k.used {
		return // They were used up by an alert.
	}
	w := missedSequence{st: st, key: e.key, steps: k.steps}
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
	w.st.near().offer(Miss{
		Rule: w.st.rule(), Stage: MissedBound, Key: w.key, At: at, Measure: "steps", Value: reached, Bound: all, Nearness: reached / all,
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
				w.offer(s.at, w.came(from)+0.5, 0, "had %q %s after %q; the rule asks for %s at most (maxspan)", p.names[s.slot], duration(span), p.names[0],
					duration(p.maxspan))
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
			len(p.names), p.names[next], duration(p.maxspan))
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
				duration(w.steps[j].at-s.at), p.names[final], duration(p.within))
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
				joined(missing), duration(p.maxspan))
		}
	}
}
