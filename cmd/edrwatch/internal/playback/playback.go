// Package playback produces the records of a simulated fleet into Kafka as
// any client would, at the pace of their own time or faster.
package playback

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/sources/simulator"
)

// Feed gives records in the order of their time.
type Feed interface {
	Next() (simulator.Emission, bool)
}

// Writer is what a Player needs of a *kafka.Writer.
type Writer interface {
	WriteMessages(ctx context.Context, messages ...kafka.Message) error
}

// Player produces a feed's records with their own times as timestamps. Sent
// and Now may be read from other goroutines while Run works.
type Player struct {
	Feed   Feed
	Writer Writer
	Start  time.Time // time of the feed at which Run begins
	Speed  float64   // of the feed's time against the clock; 0: as fast as the brokers take it
	Sent   atomic.Int64
	Now    atomic.Int64 // time of the feed, ms since 1970
}

// NewWriter returns a writer that keeps one key's records in one partition, as
// Java clients and the vendors' connectors do.
func NewWriter(transport *kafka.Transport, brokers ...string) *kafka.Writer {
	return &kafka.Writer{
		Transport: transport, Addr: kafka.TCP(brokers...), Balancer: &kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll,
		BatchTimeout: 5 * time.Millisecond, BatchSize: 5000, BatchBytes: 900 << 10, AllowAutoTopicCreation: true,
	}
}

const (
	batch = 2000                  // records that are handed over at once
	slack = 50 * time.Millisecond // a feed that is ahead by less does not wait
)

// Run produces until the feed ends, ctx does or the brokers refuse.
func (p *Player) Run(ctx context.Context) error {
	began := time.Now()
	var messages []kafka.Message
	flush := func() error {
		if len(messages) == 0 {
			return nil
		}
		if err := p.Writer.WriteMessages(ctx, messages...); err != nil {
			return fmt.Errorf("producing into Kafka: %w", err)
		}
		p.Sent.Add(int64(len(messages)))
		messages = messages[:0]
		return nil
	}
	for {
		e, ok := p.Feed.Next()
		if !ok {
			return flush()
		}
		ahead := time.Duration(0)
		if p.Speed > 0 {
			ahead = time.Duration(float64(time.UnixMilli(e.Time).Sub(p.Start))/p.Speed) - time.Since(began)
		}
		if len(messages) >= batch || ahead > slack {
			if err := flush(); err != nil {
				return err
			}
		}
		if ahead > slack {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(ahead):
			}
		}
		p.Now.Store(e.Time)
		messages = append(messages, kafka.Message{Topic: e.Topic, Key: e.Key, Value: e.Value, Time: time.UnixMilli(e.Time)})
	}
}
