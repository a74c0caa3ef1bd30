package evaluate

import (
	"github.com/cespare/xxhash/v2"

	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// shards are the partitions of every topic: a record goes to the one of its
// key, as a producer's records do, and each has state of its own. With one
// partition all topics share one state, as in a replay.
type shards struct {
	n          int
	newShard   func() *pipeline.Shard
	list       []*pipeline.Shard
	partitions map[string][]lane
}

// lane is one partition with its state and the offset of its next record.
type lane struct {
	event.Partition
	shard  *pipeline.Shard
	offset int64
}

func newShards(n int, newShard func() *pipeline.Shard) *shards {
	return &shards{n: n, newShard: newShard, partitions: map[string][]lane{}}
}

// lanes returns the partitions of a topic.
func (s *shards) lanes(topic string) []lane {
	lanes := s.partitions[topic]
	if lanes != nil {
		return lanes
	}
	lanes = make([]lane, s.n)
	for i := range lanes {
		if s.n > 1 || len(s.list) == 0 {
			s.list = append(s.list, s.newShard())
		}
		lanes[i] = lane{Partition: event.Partition{Prefix: "evaluation-" + topic, Topic: topic, Number: int32(i)}, shard: s.list[len(s.list)-1]}
	}
	s.partitions[topic] = lanes
	return lanes
}

// process takes one record through its shard and returns the shard, whose
// documents are those of the record alone.
func (s *shards) process(e *simulator.Emission) (*pipeline.Shard, pipeline.RecordOutcome) {
	lanes, n := s.lanes(e.Topic), 0
	if s.n > 1 {
		n = int(xxhash.Sum64(e.Key) % uint64(s.n))
	}
	at := &lanes[n]
	record := event.Record{Offset: at.offset, Time: e.Time, Key: e.Key, Value: e.Value}
	at.offset++
	at.shard.Reset()
	return at.shard, at.shard.Process(&at.Partition, &record, false)
}
