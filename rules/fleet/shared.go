package fleet

import (
	"cmp"
	"maps"
	"slices"
)

// Outbox returns what the shards of this gateway did up to the step that ends at
// a time, for all gateways: of every partition at least one contribution, with
// no step where nothing is known of it yet. Behind are the partitions that have
// not ended the step.
func (f *Fleet) Outbox(end int64) (told []Contribution, behind []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rest []Contribution
	reached := map[string]bool{}
	for _, c := range f.outbox {
		if c.Step.At > end {
			rest = append(rest, c)
			continue
		}
		told = append(told, c)
		reached[c.Partition] = c.Step.At == end || reached[c.Partition]
	}
	f.outbox = rest
	for _, p := range f.shards {
		switch {
		case p.at == 0:
			told = append(told, Contribution{Partition: p.partition})
		case !reached[p.partition] && p.at < end:
			behind = append(behind, p.partition)
		}
	}
	slices.SortStableFunc(told, func(a, b Contribution) int { return cmp.Compare(a.Partition, b.Partition) })
	slices.Sort(behind)
	return told, behind
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

// Expect says that there are partitions: no step is closed before they were told
// of.
func (f *Fleet) Expect(partitions []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range partitions {
		told := f.collect.obtain(name)
		told.skipped = false
	}
}

// Skip says that steps are closed without partitions until these are told of
// again, and judges those that only waited for them.
func (f *Fleet) Skip(partitions []string) []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range partitions {
		if told := f.collect.told[name]; told != nil {
			told.skipped = true
		}
	}
	return f.closeHeard()
}

// Hear takes what a gateway tells of the step that ends at a time, in the order
// of the exchange, and judges the steps that all partitions have ended. What is
// found depends on what is heard alone. A partition that is told of twice counts
// once.
func (f *Fleet) Hear(end int64, contributions []Contribution) []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range contributions {
		if c.Step != nil {
			f.collect.offer(c.Partition, c.Step, c.Rebuilt)
		}
		told := f.collect.obtain(c.Partition)
		if told.at = max(told.at, end); told.at >= f.collect.closed {
			told.skipped = false
		}
	}
	return f.closeHeard()
}

// closeHeard closes the steps that all partitions have ended which are waited
// for, one after the other; a long time in which nobody told of anything is
// passed over.
func (f *Fleet) closeHeard() []Finding {
	c := &f.collect
	ready, partial := int64(0), false
	for _, told := range c.told {
		if told.skipped {
			partial = true
			continue
		}
		if told.at == 0 {
			return nil
		}
		if ready == 0 || told.at < ready {
			ready = told.at
		}
	}
	c.partial = partial
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

// Told is the end of the last step that was told of a partition.
func (f *Fleet) Told(partition string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if told := f.collect.told[partition]; told != nil {
		return told.at
	}
	return 0
}

// Awaited are the partitions whose next step has not been told, sorted; those
// that are skipped are not among them.
func (f *Fleet) Awaited() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	furthest := int64(0)
	for _, told := range f.collect.told {
		furthest = max(furthest, told.at)
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(f.collect.told)) {
		if told := f.collect.told[name]; !told.skipped && told.at < furthest && told.at <= f.collect.closed {
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
	for _, name := range slices.Sorted(maps.Keys(f.collect.told)) {
		if f.collect.told[name].skipped {
			names = append(names, name)
		}
	}
	return names
}
