package canary

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/pipeline/event"

	"github.com/edrwatch/edrwatch/pipeline/kafkaconn"
)

// Producer writes beats to the brokers of a source. It is safe for concurrent
// use.
type Producer struct{ writer *kafkago.Writer }

// NewProducer returns a producer; it does not connect yet.
func NewProducer(cfg kafkaconn.Config, log *slog.Logger) (*Producer, error) {
	transport, err := cfg.Transport(log)
	if err != nil {
		return nil, err
	}
	return &Producer{&kafkago.Writer{
		Addr: kafkago.TCP(cfg.Brokers...), Balancer: given{}, RequiredAcks: kafkago.RequireAll, MaxAttempts: 3, BatchTimeout: time.Millisecond,
		Transport: transport, ReadTimeout: cfg.DialTimeout, WriteTimeout: cfg.DialTimeout,
	}}, nil
}

// Write implements Writer.
func (p *Producer) Write(ctx context.Context, topic string, partition int32, records []Record) error {
	messages := make([]kafkago.Message, len(records))
	for i, r := range records {
		messages[i] = kafkago.Message{Topic: topic, Partition: int(partition), Key: r.Key, Value: r.Value, Time: r.Time, Headers: []kafkago.Header{{Key: event.CanaryHeader, Value: []byte("1")}}}
	}
	err := p.writer.WriteMessages(ctx, messages...)
	var each kafkago.WriteErrors
	if errors.As(err, &each) {
		err = errors.Join(each...)
	}
	if errors.Is(err, kafkago.TopicAuthorizationFailed) {
		return fmt.Errorf("%w: grant Write and Describe on the topic", err)
	}
	return err
}

// Close releases the connections.
func (p *Producer) Close() error {
	err := p.writer.Close()
	p.writer.Transport.(*kafkago.Transport).CloseIdleConnections()
	return err
}

// given sends every record to the partition that it names.
type given struct{}

func (given) Balance(m kafkago.Message, partitions ...int) int {
	if slices.Contains(partitions, m.Partition) {
		return m.Partition
	}
	return partitions[0]
}
