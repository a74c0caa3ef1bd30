package evaluate

import (
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// Judging makes the shards of one run and judges them together, in step.
type Judging interface {
	NewShard(partition string) *pipeline.Shard
	// Step is the time of the log that is judged at once.
	Step() time.Duration
	// Close judges the step that ends at a time, nanoseconds since 1970. Alerts are
	// valid until emit returns.
	Close(end int64, emit func(alert *event.Event))
}

// shards are the partitions of every topic: a record goes to the one of its
// key, as a producer's records do, and each has state of its own.
type shards struct {
	n          int
	judge      Judging
	steps      *pipeline.Lockstep
	partitions map[string][]lane
	told       func(*pipeline.Shard) error // takes the alerts of a shard
	err        error
}

// lane is one partition with its state and the offset of its next record.
type lane struct {
	event.Partition
	shard  *pipeline.Shard
	offset int64
}

func newShards(n int, judge Judging, told func(*pipeline.Shard) error) *shards {
	s := &shards{n: n, judge: judge, partitions: map[string][]lane{}, told: told}
	found := pipeline.NewShard(pipeline.DefaultShardConfig(), nil, nil)
	s.steps = pipeline.NewLockstep(judge.Step(), func(end int64) {
		found.Reset()
		found.Raise(end, func(emit func(*event.Event)) { judge.Close(end, emit) })
		s.tell(found)
	}, s.tell)
	return s
}

func (s *shards) tell(from *pipeline.Shard) {
	if err := s.told(from); err != nil && s.err == nil {
		s.err = err
	}
}

// lanes returns the partitions of a topic.
func (s *shards) lanes(topic string) []lane {
	lanes := s.partitions[topic]
	if lanes != nil {
		return lanes
	}
	lanes = make([]lane, s.n)
	for i := range lanes {
		p := event.Partition{Prefix: "evaluation-" + topic, Topic: topic, Number: int32(i)}
		lanes[i] = lane{Partition: p, shard: s.judge.NewShard(pipeline.PartitionName(p))}
		s.steps.Add(lanes[i].shard)
	}
	s.partitions[topic] = lanes
	return lanes
}

// process takes one record through its shard.
func (s *shards) process(e *simulator.Emission) (pipeline.RecordOutcome, error) {
	lanes, n := s.lanes(e.Topic), 0
	if s.n > 1 {
		n = int(xxhash.Sum64(e.Key) % uint64(s.n))
	}
	at := &lanes[n]
	s.steps.Reach(e.Time * int64(time.Millisecond))
	record := event.Record{Offset: at.offset, Time: e.Time, Key: e.Key, Value: e.Value}
	at.offset++
	at.shard.Reset()
	outcome := at.shard.Process(&at.Partition, &record, false)
	s.tell(at.shard)
	return outcome, s.err
}

// finish moves all to the time of the last record.
func (s *shards) finish() error {
	s.steps.Finish()
	return s.err
}
