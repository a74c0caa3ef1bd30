package fleet

import (
	"sync"
	"time"
)

// Fleet brings the steps of all shards of a gateway before one Judge. It is
// safe for concurrent use.
type Fleet struct {
	cfg Config

	mu      sync.Mutex
	judge   *Judge
	shards  map[*Shard]int64 // where each is: the end of its last step
	pending map[int64]*Step
	judged  int64
}

// idle is how far a shard may be behind the others before they are judged
// without it: a partition to which nothing comes must not stop the judge.
const idle = int64(time.Minute)

// New returns a fleet without shards.
func New(cfg Config) *Fleet {
	return &Fleet{cfg: cfg.withDefaults(), judge: NewJudge(cfg), shards: map[*Shard]int64{}, pending: map[int64]*Step{}}
}

// Shard returns a new shard of the fleet; Leave takes it out again.
func (f *Fleet) Shard() *Shard {
	s := NewShard(f.cfg)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shards[s] = 0
	return s
}

// Leave takes a shard out whose partition is given up.
func (f *Fleet) Leave(s *Shard) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.shards, s)
}

// Take adds a step of a shard and judges the steps that all shards have made.
func (f *Fleet) Take(s *Shard, step *Step) []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shards[s] = step.At
	// What comes after its time was judged counts in the next step.
	at := max(step.At, f.judged+StepLength)
	if have := f.pending[at]; have != nil {
		have.Add(step)
	} else {
		step.At = at
		f.pending[at] = step
	}
	slowest, fastest := step.At, step.At
	for _, at := range f.shards {
		if at > 0 {
			slowest, fastest = min(slowest, at), max(fastest, at)
		}
	}
	ready := max(slowest, fastest-idle)
	var findings []Finding
	for len(f.pending) > 0 {
		first := int64(-1)
		for at := range f.pending {
			if first < 0 || at < first {
				first = at
			}
		}
		if first > ready && len(f.shards) > 1 {
			break
		}
		findings = append(findings, f.judge.Take(f.pending[first])...)
		f.judged = first
		delete(f.pending, first)
	}
	return findings
}

// SiteDark reports whether a site is known to be dark.
func (f *Fleet) SiteDark(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return name != "" && f.judge.SiteDark(name)
}
