package fleet

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
)

// Contribution is what the agents of one partition did in a step.
type Contribution struct {
	Partition string
	Step      *Step
	Rebuilt   bool // by records that were judged before
}

// collector keeps what partitions report of steps until these are closed. What a
// partition reports twice counts once, whichever gateway sends it.
type collector struct {
	closed  int64 // end of the last step that was closed
	partial bool  // the steps that are closed now lack a partition
	known   map[string]*knownPartition
	pending map[int64]map[string]Contribution // by end and partition
}

// knownPartition is one that steps were reported of.
type knownPartition struct {
	at   int64 // end of the last step that was reported
	last *Step // as it was reported; nil before
	// skipped says that steps are closed without it until it is reported on again.
	skipped bool
}

func newCollector() collector {
	return collector{known: map[string]*knownPartition{}, pending: map[int64]map[string]Contribution{}}
}

func unnamedPartition(n int) string { return "#" + strconv.Itoa(n) }

func (c *collector) obtain(partition string) *knownPartition {
	known := c.known[partition]
	if known == nil {
		known = &knownPartition{}
		c.known[partition] = known
	}
	return known
}

// offer keeps a step. One that was reported before counts no more; one that comes
// after its time counts in the next.
func (c *collector) offer(partition string, step *Step, rebuilt bool) {
	known := c.obtain(partition)
	if step.At <= known.at {
		return
	}
	known.at = step.At
	known.last = step.withoutMatches()
	at := step.At
	if at <= c.closed {
		at = c.closed + StepLength
	}
	if c.pending[at] == nil {
		c.pending[at] = map[string]Contribution{}
	}
	if have, ok := c.pending[at][partition]; ok {
		// A copy: the step before is what the partition stands at if it reports no more.
		both := newStep(at)
		both.Add(have.Step)
		both.follow(step)
		step, rebuilt = both, rebuilt && have.Rebuilt
	}
	c.pending[at][partition] = Contribution{partition, step, rebuilt}
}

// next is the first step up to end of which somebody reported, 0 for none.
func (c *collector) next(end int64) int64 {
	first := int64(0)
	for at := range c.pending {
		if at <= end && (first == 0 || at < first) {
			first = at
		}
	}
	return first
}

// rebuilt reports whether all that was reported of a step is of records that were
// judged before.
func (c *collector) rebuilt(at int64) bool {
	for _, p := range c.pending[at] {
		if !p.Rebuilt {
			return false
		}
	}
	return len(c.pending[at]) > 0
}

// close returns the sum of what all partitions did in a step.
func (c *collector) close(at int64) *Step {
	parts := c.pending[at]
	delete(c.pending, at)
	c.closed = max(c.closed, at)
	whole := newStep(at)
	for _, name := range slices.SortedFunc(maps.Keys(c.known), cmp.Compare[string]) {
		if p, ok := parts[name]; ok {
			whole.Add(p.Step)
		} else if known := c.known[name]; known.last != nil {
			whole.Add(known.last.standing(at))
		}
	}
	return whole
}

// forget takes a partition out, and what it reported that was not judged.
func (c *collector) forget(partition string) {
	delete(c.known, partition)
	for _, parts := range c.pending {
		delete(parts, partition)
	}
}
