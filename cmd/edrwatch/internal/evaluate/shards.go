package evaluate

import (
	"github.com/cespare/xxhash/v2"

	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// shards are the partitions of every topic: a record goes to the one of its
// key, as a producer's records do, and each has state of its own.
type shards struct {
	list       []*pipeline.Shard
	partitions map[string][]lane
}

// lane is one partition with the offset of its next record.
type lane struct {
	event.Partition
	offset int64
}

func newShards(n int, newShard func() *pipeline.Shard) *shards {
	s := &shards{partitions: map[string][]lane{}}
	for range n {
		s.list = append(s.list, newShard())
	}
	return s
}

// process takes one record through its shard and returns the shard, whose
// documents are those of the record alone.
func (s *shards) process(e *simulator.Emission) (*pipeline.Shard, pipeline.RecordOutcome) {
	lanes := s.partitions[e.Topic]
	if lanes == nil {
		lanes = make([]lane, len(s.list))
		for i := range lanes {
			lanes[i].Partition = event.Partition{Prefix: "evaluation-" + e.Topic, Topic: e.Topic, Number: int32(i)}
		}
		s.partitions[e.Topic] = lanes
	}
	n := 0
	if len(s.list) > 1 {
		n = int(xxhash.Sum64(e.Key) % uint64(len(s.list)))
	}
	record := event.Record{Offset: lanes[n].offset, Time: e.Time, Key: e.Key, Value: e.Value}
	lanes[n].offset++
	shard := s.list[n]
	shard.Reset()
	return shard, shard.Process(&lanes[n].Partition, &record, false)
}
