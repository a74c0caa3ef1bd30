package fleet

import (
	"slices"
	"sync"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet/identity"
)

// Fleet brings the steps of all partitions before one Judge, in the order of
// the log's time: a step is judged when every partition has ended it, and what
// the judge then knows is seen by all partitions from the next step on. So what
// is found depends on the records alone. It is safe for concurrent use.
//
// Who closes steps is one of three. By itself a fleet closes a step as soon as
// all shards that have begun have ended it: for a session alone, and tests. One
// that is Paced closes none but by Close. One that is Shared judges what Hear
// is given of the partitions of all gateways.
type Fleet struct {
	cfg Config
	now func() time.Time

	mu        sync.Mutex
	judge     *Judge
	collect   collector
	views     views
	shards    map[*Shard]*shardPlace
	unnamed   int
	paced     bool
	shared    bool
	outbox    []Contribution // of the steps that are not closed, where the fleet is shared
	rosters   map[Roster]struct{}
	names     *identity.Registry // nil: none
	learned   []learned          // names that are known when their step is closed
	knowledge *knowledge         // as counted last
	counted   time.Time          // when
	latest    int64              // end of the latest step of a shard here

	informing sync.Mutex        // of what follows
	informed  map[uint64]uint32 // fingerprint of what Part and Changed returned last, by Hash of the agent

	across     Across // nil: no rule is about the whole fleet
	acrossAt   int64  // end of the last step that it judged
	acrossLive bool   // it has judged since this process began
	keptAcross []byte // what it is to restore once it is there
}

// shardPlace is what the fleet knows of a shard in this process.
type shardPlace struct {
	partition string
	at        int64 // end of its last step; 0 before the first
}

// New returns a fleet without shards, which closes steps by itself. Now is the
// gateway's clock, for how long answers about the inventory are kept; nil for a
// replay.
func New(cfg Config, now func() time.Time) *Fleet {
	return &Fleet{
		cfg: cfg.withDefaults(), now: now, judge: NewJudge(cfg), collect: newCollector(), shards: map[*Shard]*shardPlace{}, rosters: map[Roster]struct{}{},
	}
}

// Pace lets steps be closed by Close alone from now on.
func (f *Fleet) Pace() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paced = true
}

// NewShared returns the part of a gateway in a fleet of several: what its shards
// report is taken with Outbox, and the judge only learns what Hear is given.
func NewShared(cfg Config, now func() time.Time) *Fleet {
	f := New(cfg, now)
	f.paced, f.shared = true, true
	return f
}

// Shard returns a new shard of the fleet, for a partition that is named equally
// in all gateways; "" for one that nobody else reads. Leave takes it out again.
func (f *Fleet) Shard(partition string) *Shard {
	s := NewShard(f.cfg)
	f.mu.Lock()
	defer f.mu.Unlock()
	if partition == "" {
		f.unnamed++
		partition = unnamedPartition(f.unnamed)
	}
	f.shards[s] = &shardPlace{partition: partition}
	return s
}

// Leave takes a shard out whose partition is given up. Its agents stay in the
// denominators until a gateway reports on the partition again, or it is forgotten.
func (f *Fleet) Leave(s *Shard) {
	f.mu.Lock()
	defer f.mu.Unlock()
	place := f.shards[s]
	if place == nil {
		return
	}
	delete(f.shards, s)
	f.outbox = slices.DeleteFunc(f.outbox, func(c Contribution) bool { return c.Partition == place.partition })
	if !f.paced {
		f.collect.forget(place.partition)
	}
}

// Take adds a step of a shard. Where the fleet closes steps by itself it judges
// those that all shards have ended, and returns what was found. Rebuilt says
// that the step is of records that were judged before and are read again: what
// is found by such steps alone was reported then.
func (f *Fleet) Take(s *Shard, step *Step, rebuilt bool) []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latest = max(f.latest, step.At)
	place := f.shards[s]
	if place == nil {
		return nil
	}
	place.at = step.At
	if f.shared {
		f.outbox = append(f.outbox, Contribution{Partition: place.partition, Step: step, Rebuilt: rebuilt})
		return nil
	}
	f.collect.offer(place.partition, step, rebuilt)
	if f.paced {
		return nil
	}
	findings, _ := f.closeTo(f.endedByAll())
	return findings
}

// endedByAll is the end of the last step that all shards have ended which have
// begun and do not lie further behind than patience.
func (f *Fleet) endedByAll() int64 {
	fastest := int64(0)
	for _, p := range f.shards {
		fastest = max(fastest, p.at)
	}
	slowest := fastest
	for _, p := range f.shards {
		if p.at > 0 && fastest-p.at < patience {
			slowest = min(slowest, p.at)
		}
	}
	return slowest
}

// patience is how far behind the others, by the events' time, a shard may be of
// a fleet that closes steps by itself.
const patience = int64(5 * time.Minute)

// Close judges all steps up to the one that ends at end, which every partition
// that is waited for has ended. Agents of a partition that reported nothing of a
// step stay as they were. It returns what was found.
func (f *Fleet) Close(end int64, partial bool) []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.collect.partial = partial
	findings, last := f.closeTo(end)
	if last < end {
		findings = append(findings, f.closeAt(end)...) // No partition reported anything.
	}
	return findings
}

// closeTo judges the steps up to end that any partition reported, and returns
// the end of the last.
func (f *Fleet) closeTo(end int64) ([]Finding, int64) {
	var findings []Finding
	for at := f.collect.next(end); at > 0; at = f.collect.next(end) {
		findings = append(findings, f.closeAt(at)...)
	}
	return findings, f.collect.closed
}

// closeAt judges one step. What is found by records alone that were judged
// before was reported before.
func (f *Fleet) closeAt(end int64) []Finding {
	f.applyNames(end)
	rebuilt, partial := f.collect.rebuilt(end), f.collect.partial
	whole := f.collect.close(end)
	found, view := f.judge.Take(whole)
	view.Partial = partial
	found = append(found, f.judgeAcross(end, whole, view)...)
	f.views.add(view)
	if rebuilt {
		return nil
	}
	for i := range found {
		found[i].Partial = partial
	}
	return found
}

// Closed is the end of the last step that was closed; 0 before.
func (f *Fleet) Closed() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.collect.closed
}

// View returns what is known since the step that ended at a time, nil before
// the first.
func (f *Fleet) View(end int64) *View {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.views.at(end)
}

// NextView returns the first view after a time and up to another, nil for none.
func (f *Fleet) NextView(after, upTo int64) *View {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.views.next(after, upTo)
}

// clock is the gateway's, zero in a replay.
func (f *Fleet) clock() time.Time {
	if f.now == nil {
		return time.Time{}
	}
	return f.now()
}
