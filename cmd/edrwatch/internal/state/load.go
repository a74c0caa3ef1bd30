package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// found is a snapshot that may be restored.
type found struct {
	slot     int
	offset   int64
	snapshot []byte
}

// Load implements pipeline.Checkpoints: it reads the shard's partition of the
// topic from its beginning. What Save does next follows from what was found.
func (s *Store) Load(ctx context.Context, name string, committed int64, restore func(offset int64, snapshot []byte) error) (int64, bool, error) {
	known, list, err := s.findSnapshots(ctx, name)
	if err != nil {
		return 0, false, err
	}
	s.mu.Lock()
	s.shards[name] = known
	s.mu.Unlock()
	for _, f := range list {
		if f.offset <= committed && restore(f.offset, f.snapshot) == nil {
			known.newest = f.slot // The other one is of no use, and makes room.
			return f.offset, true, nil
		}
	}
	return 0, false, nil
}

// Peek is Load for one who does not save the shard.
func (s *Store) Peek(ctx context.Context, name string, restore func(snapshot []byte) error) (offset int64, ok bool, err error) {
	_, list, err := s.findSnapshots(ctx, name)
	for _, f := range list {
		if restore(f.snapshot) == nil {
			return f.offset, true, nil
		}
	}
	return 0, false, err
}

// findSnapshots returns the snapshots of a shard that are whole, the one of the highest
// offset first.
func (s *Store) findSnapshots(ctx context.Context, name string) (*shard, []found, error) {
	chunks, err := s.read(ctx, name)
	if err != nil {
		return nil, nil, fmt.Errorf("state: reading topic %s: %w", s.cfg.Topic, err)
	}
	known := &shard{}
	var list []found
	for slot := range chunks {
		if len(chunks[slot]) == 0 {
			continue
		}
		for number := range chunks[slot] {
			known.chunks[slot] = max(known.chunks[slot], number+1)
		}
		snapshot, err := join(chunks[slot])
		if err != nil {
			s.log.Warn("snapshot incomplete or damaged; trying the other slot", "shard", name, "slot", slot, "error", err)
			continue
		}
		list = append(list, found{slot, chunks[slot][0].offset, snapshot})
	}
	slices.SortFunc(list, func(a, b found) int { return cmp.Compare(b.offset, a.offset) })
	if len(list) > 0 {
		known.newest = list[0].slot
	}
	return known, list, nil
}

// quietFor is the time without a record after which the rest is taken for
// compacted away. Were it only slow, an older snapshot would be as good. The
// first record may take longer: connecting to a busy broker is part of it.
const (
	quietFor = 5 * time.Second
	firstFor = 20 * time.Second
)

// read returns the chunks of a shard, by slot and number.
func (s *Store) read(ctx context.Context, name string) (chunks [slots]map[int]*chunk, err error) {
	for slot := range chunks {
		chunks[slot] = map[int]*chunk{}
	}
	at, err := s.locate(ctx, name)
	if err != nil {
		return chunks, err
	}
	return chunks, s.scan(ctx, at, func(record *kafkago.Message) { s.addChunk(&chunks, name, record) })
}

// scan reads the records of a partition between two offsets.
func (s *Store) scan(ctx context.Context, at place, take func(*kafkago.Message)) error {
	if at.first >= at.last {
		return nil
	}
	reader := kafkago.NewReader(kafkago.ReaderConfig{
		Brokers: s.cfg.Brokers, Topic: s.cfg.Topic, Partition: at.partition, Dialer: s.dialer, MinBytes: 1, MaxBytes: 8 << 20, MaxWait: 250 * time.Millisecond,
		QueueCapacity: 8,
	})
	defer reader.Close()
	if err := reader.SetOffset(at.first); err != nil {
		return err
	}
	for patience := firstFor; ; patience = quietFor {
		reading, cancel := context.WithTimeout(ctx, patience)
		record, err := reader.ReadMessage(reading)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return nil
		}
		if err != nil {
			return err
		}
		take(&record)
		if record.Offset >= at.last-1 {
			return nil
		}
	}
}

// addChunk adds a record to the chunks of a shard; the last of a key counts.
func (s *Store) addChunk(chunks *[slots]map[int]*chunk, name string, record *kafkago.Message) {
	shard, slot, number, ok := parseKey(record.Key)
	if !ok || shard != name {
		return
	}
	delete(chunks[slot], number)
	if len(record.Value) == 0 {
		return
	}
	c, err := parseChunk(record.Value)
	if err != nil {
		s.log.Warn("snapshot chunk not readable; skipping it", "shard", name, "offset", record.Offset, "error", err)
		return
	}
	chunks[slot][number] = c
}

// place is where a shard's records are.
type place struct {
	partition   int
	first, last int64 // offsets; last is the next to be written
}

// locate finds a shard's partition of the topic, with the first broker that
// answers.
func (s *Store) locate(ctx context.Context, name string) (place, error) {
	var errs []error
	for _, i := range rand.Perm(len(s.cfg.Brokers)) {
		at, err := s.locateAt(ctx, s.cfg.Brokers[i], name)
		if err == nil {
			return at, nil
		}
		errs = append(errs, err)
	}
	return place{}, errors.Join(errs...)
}

// locateAt is locate with one broker.
func (s *Store) locateAt(ctx context.Context, broker, name string) (at place, err error) {
	partitions, err := s.dialer.LookupPartitions(ctx, "tcp", broker, s.cfg.Topic)
	if err != nil {
		return at, err
	}
	if len(partitions) == 0 {
		return at, errors.New("it does not exist: create it, with cleanup.policy=compact")
	}
	ids := make([]int, len(partitions))
	for i, p := range partitions {
		ids[i] = p.ID
	}
	slices.Sort(ids)
	at.partition = byShard{}.Balance(kafkago.Message{Key: chunkKey(name, 0, 0)}, ids...)
	conn, err := s.dialer.DialLeader(ctx, "tcp", broker, s.cfg.Topic, at.partition)
	if err != nil {
		return at, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // Reading fails then.
	}
	at.first, at.last, err = conn.ReadOffsets()
	return at, err
}
