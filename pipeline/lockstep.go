package pipeline

import "time"

// Lockstep takes records that come in the order of their time through the
// shards of their partitions, one after the other, and closes steps on the way:
// what a Pacer does with partitions that are read at the same time. It belongs to
// one goroutine.
type Lockstep struct {
	steps  steps
	shards []*Shard
	close  func(end int64)
	tick   func(s *Shard)
	latest int64 // time of a record
}

// NewLockstep returns a driver without shards. Close is called with the end of
// every step, when all shards have ended it; tick after a shard's clock was moved
// by the end of a step and not by a record, while its Documents are valid.
func NewLockstep(step time.Duration, closeStep func(end int64), tick func(s *Shard)) *Lockstep {
	return &Lockstep{steps: steps{length: int64(step)}, close: closeStep, tick: tick}
}

// Add gives the driver a further shard.
func (l *Lockstep) Add(s *Shard) { l.shards = append(l.shards, s) }

// Reach moves all shards to the step of a record that comes next; at is its
// broker's time, nanoseconds since 1970. It is to be called before the record is
// processed.
func (l *Lockstep) Reach(at int64) {
	if at <= l.latest {
		return
	}
	l.latest = at
	upcoming := l.steps.floor(at)
	if l.steps.closed == 0 {
		l.steps.begin(at)
		return
	}
	for l.steps.closed < upcoming {
		l.move(l.steps.next())
		l.close(l.steps.next())
		l.steps.close(upcoming)
	}
}

// Finish moves all shards to the time of the last record, so that what is due by
// then does not depend on which partition held it. The last step stays open.
func (l *Lockstep) Finish() {
	if l.latest > 0 {
		l.move(l.latest)
	}
}

func (l *Lockstep) move(to int64) {
	for _, s := range l.shards {
		s.Reset()
		s.Tick(to, false)
		l.tick(s)
	}
}
