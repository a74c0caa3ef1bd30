package fleet

import (
	"cmp"
	"maps"
	"slices"

	"github.com/edrwatch/edrwatch/rules/fleet/identity"
)

// Outbox returns what shards of this gateway did, for all gateways: those of the
// partitions that have ended the step that ends at a time. Of each there is at
// least one contribution, with no step where there is nothing new of it.
func (f *Fleet) Outbox(end int64, ended []string) []Contribution {
	f.mu.Lock()
	defer f.mu.Unlock()
	var known, rest []Contribution
	some := map[string]bool{}
	for _, c := range f.outbox {
		if c.Step.At > end || !slices.Contains(ended, c.Partition) {
			rest = append(rest, c)
			continue
		}
		known = append(known, c)
		some[c.Partition] = true
	}
	f.outbox = rest
	for _, name := range ended {
		if !some[name] {
			known = append(known, Contribution{Partition: name})
		}
	}
	slices.SortStableFunc(known, func(a, b Contribution) int { return cmp.Compare(a.Partition, b.Partition) })
	return known
}

// Partitions names those of which there is a shard here.
func (f *Fleet) Partitions() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, p := range f.shards {
		names = append(names, p.partition)
	}
	slices.Sort(names)
	return names
}

// Expect says that there are partitions: no step is closed before they were reported
// of.
func (f *Fleet) Expect(partitions []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range partitions {
		known := f.collect.obtain(name)
		known.skipped = false
	}
}

// Skip says that steps are closed without partitions until these are reported of
// again, and judges those that only waited for them.
func (f *Fleet) Skip(partitions []string) []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range partitions {
		if known := f.collect.known[name]; known != nil {
			known.skipped = true
		}
	}
	return f.closeHeard()
}

// Hear takes what a gateway reports of the step that ends at a time, in the order
// of the exchange, and judges the steps that all partitions have ended. What is
// found depends on what is heard alone. A partition that is reported of twice counts
// once.
func (f *Fleet) Hear(end int64, contributions []Contribution) []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range contributions {
		if c.Step != nil {
			f.collect.offer(c.Partition, c.Step, c.Rebuilt)
		}
	}
	for _, c := range contributions { // After all: a partition may report several steps.
		known := f.collect.obtain(c.Partition)
		if known.at = max(known.at, end); known.at >= f.collect.closed {
			known.skipped = false
		}
	}
	return f.closeHeard()
}

// learned are names that a gateway learned in the step that ends at a time.
type learned struct {
	end   int64
	links *identity.Links
}

// HearNames takes the names that a gateway learned in the step that ends at a
// time, in the order of the exchange. They are known when that step is closed.
func (f *Fleet) HearNames(end int64, links *identity.Links) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.names == nil {
		return // This fleet judges, and lists nobody.
	}
	f.learned = append(f.learned, learned{end, links})
	if end <= f.collect.closed {
		f.applyNames(f.collect.closed)
	}
}

// applyNames lets the names be known that were learned up to the end of a step.
func (f *Fleet) applyNames(end int64) {
	var due []*identity.Links
	f.learned = slices.DeleteFunc(f.learned, func(l learned) bool {
		if l.end > end {
			return false
		}
		due = append(due, l.links)
		return true
	})
	if len(due) > 0 {
		f.names.Apply(due...)
	}
}

// closeHeard closes the steps that all partitions have ended which are waited
// for, one after the other; a long time in which nobody reported of anything is
// passed over.
func (f *Fleet) closeHeard() []Finding {
	c := &f.collect
	ready, partial := int64(0), false
	for _, known := range c.known {
		if known.skipped {
			partial = true
			continue
		}
		if known.at == 0 {
			return nil
		}
		if ready == 0 || known.at < ready {
			ready = known.at
		}
	}
	c.partial = partial
	if c.closed == 0 {
		// The fleet begins with the first step that somebody has reported of.
		if c.closed = ready; c.next(ready) > 0 {
			c.closed = c.next(ready) - StepLength
		}
	}
	var findings []Finding
	for c.closed < ready {
		end := c.next(ready)
		if end == 0 {
			end = ready
		}
		if c.closed > 0 && end-c.closed < longGap {
			end = c.closed + StepLength
		}
		found := f.closeAt(end)
		findings = append(findings, found...)
	}
	return findings
}

// Awaited are the partitions whose next step has not been reported, sorted; those
// that are skipped are not among them.
func (f *Fleet) Awaited() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	furthest := int64(0)
	for _, known := range f.collect.known {
		furthest = max(furthest, known.at)
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(f.collect.known)) {
		if known := f.collect.known[name]; !known.skipped && known.at < furthest && known.at <= f.collect.closed {
			names = append(names, name)
		}
	}
	return names
}

// Skipped are the partitions that are not waited for, sorted.
func (f *Fleet) Skipped() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(f.collect.known)) {
		if f.collect.known[name].skipped {
			names = append(names, name)
		}
	}
	return names
}
