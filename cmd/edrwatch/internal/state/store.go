package state

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/pipeline/kafkaconn"
)

// Store keeps snapshots on the topic. It implements pipeline.Checkpoints.
type Store struct {
	cfg    Config
	log    *slog.Logger
	dialer *kafkago.Dialer
	writer *kafkago.Writer

	mu     sync.Mutex
	shards map[string]*shard
}

// shard is what is known of a shard's records.
type shard struct {
	newest int // slot of the newest snapshot; the next goes into the other
	chunks [slots]int
}

// New returns a store; it does not connect yet.
func New(cfg Config, log *slog.Logger) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	log = log.With("state", cfg.Topic)
	dialer, err := cfg.Dialer(log)
	if err != nil {
		return nil, err
	}
	writer, err := cfg.Writer(cfg.Topic, byShard{}, log)
	if err != nil {
		return nil, err
	}
	writer.MaxAttempts = 3
	return &Store{cfg: cfg, log: log, dialer: dialer, writer: writer, shards: map[string]*shard{}}, nil
}

// Close releases the connections.
func (s *Store) Close() error { return kafkaconn.CloseWriter(s.writer) }

// byShard keeps all records of a shard in one partition.
type byShard struct{}

func (byShard) Balance(m kafkago.Message, partitions ...int) int {
	name, _, _, ok := parseKey(m.Key)
	if !ok { // An act.
		name, _, _ = strings.Cut(string(m.Key), "/")
	}
	return kafkago.Murmur2Balancer{}.Balance(kafkago.Message{Key: []byte(name)}, partitions...)
}

func (s *Store) shard(name string) *shard {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.shards[name]
	if known == nil {
		known = &shard{}
		s.shards[name] = known
	}
	return known
}

// Save implements pipeline.Checkpoints. A shard is saved by one goroutine at a
// time.
func (s *Store) Save(ctx context.Context, name string, offset int64, snapshot []byte) error {
	if len(snapshot) > maxSnapshot {
		return fmt.Errorf("state: a snapshot of %d bytes is larger than the %d that are kept", len(snapshot), maxSnapshot)
	}
	known := s.shard(name)
	slot := (known.newest + 1) % slots
	chunks := cut(rand.Uint64(), offset, snapshot)
	messages := make([]kafkago.Message, 0, len(chunks))
	for _, c := range chunks {
		messages = append(messages, kafkago.Message{Key: chunkKey(name, slot, c.number), Value: c.append(make([]byte, 0, len(c.bytes)+64))})
	}
	for i := len(chunks); i < known.chunks[slot]; i++ {
		messages = append(messages, kafkago.Message{Key: chunkKey(name, slot, i)})
	}
	// What was written in part is overwritten the next time: the slot stays
	// the next one until all of it is there.
	known.chunks[slot] = max(known.chunks[slot], len(chunks))
	if err := s.writer.WriteMessages(ctx, messages...); err != nil {
		return fmt.Errorf("state: writing %d chunks to topic %s: %w", len(messages), s.cfg.Topic, err)
	}
	known.newest, known.chunks[slot] = slot, len(chunks)
	return nil
}
