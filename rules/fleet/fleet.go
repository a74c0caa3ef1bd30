package fleet

import (
	"sync"
	"time"
)

// Fleet brings the steps of all shards of a gateway before one Judge. It is
// safe for concurrent use.
type Fleet struct {
	cfg Config
	now func() time.Time

	mu      sync.Mutex
	judge   *Judge
	shards  map[*Shard]*member
	pending map[int64]*Step
	judged  int64
}

// member is where a shard is.
type member struct {
	at   int64     // the end of its last step; 0 before the first
	seen time.Time // when it made that
}

// The judge waits for the slowest shard, because partitions are read at
// different speeds. It does not wait for one to which nothing comes: that made
// no step for idle of the gateway's own time, or, where there is none, that is
// behind by more than idleEvents of the events'. Nor for one that is behind by
// mostBehind.
const (
	idle       = 5 * time.Second
	idleEvents = int64(5 * time.Minute)
	mostBehind = int64(6 * time.Hour)
)

// New returns a fleet without shards. Now is the gateway's clock, which tells a
// slow partition from an idle one and nothing else; nil for a replay, whose
// findings depend on its records alone.
func New(cfg Config, now func() time.Time) *Fleet {
	return &Fleet{cfg: cfg.withDefaults(), now: now, judge: NewJudge(cfg), shards: map[*Shard]*member{}, pending: map[int64]*Step{}}
}

// Shard returns a new shard of the fleet; Leave takes it out again.
func (f *Fleet) Shard() *Shard {
	s := NewShard(f.cfg)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shards[s] = &member{}
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
	m := f.shards[s]
	if m == nil {
		return nil
	}
	m.at = step.At
	if f.now != nil {
		m.seen = f.now()
	}
	if step.At <= f.judged-mostBehind {
		return nil // A partition that changed hands is read again to know its agents; what they did has been judged.
	}
	// What comes after its time was judged counts in the next step.
	at := max(step.At, f.judged+StepLength)
	if have := f.pending[at]; have != nil {
		have.Add(step)
	} else {
		step.At = at
		f.pending[at] = step
	}
	ready := f.ready()
	var findings []Finding
	for len(f.pending) > 0 {
		first := int64(-1)
		for at := range f.pending {
			if first < 0 || at < first {
				first = at
			}
		}
		if first > ready {
			break
		}
		findings = append(findings, f.judge.Take(f.pending[first])...)
		f.judged = first
		delete(f.pending, first)
	}
	return findings
}

// ready is the time up to which all shards that are waited for have come.
func (f *Fleet) ready() int64 {
	fastest := f.judged + StepLength
	for _, m := range f.shards {
		fastest = max(fastest, m.at)
	}
	slowest := fastest
	for _, m := range f.shards {
		waited := m.at > 0 && fastest-m.at < mostBehind
		if f.now != nil {
			waited = waited && f.now().Sub(m.seen) < idle
		} else {
			waited = waited && fastest-m.at < idleEvents
		}
		if waited {
			slowest = min(slowest, m.at)
		}
	}
	return slowest
}

// SiteDark reports whether a site is known to be dark.
func (f *Fleet) SiteDark(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return name != "" && f.judge.SiteDark(name)
}
