package kafkaconn

import (
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"
)

// Writer returns a writer to a topic with connections of its own: what it has
// written all replicas have, at once and not in larger batches later. Its owner
// calls CloseWriter.
func (c Config) Writer(topic string, balancer kafka.Balancer, log *slog.Logger) (*kafka.Writer, error) {
	transport, err := c.Transport(log)
	if err != nil {
		return nil, err
	}
	return &kafka.Writer{
		Addr: kafka.TCP(c.Brokers...), Topic: topic, Balancer: balancer, RequiredAcks: kafka.RequireAll, Transport: transport,
		BatchBytes: 1 << 20, BatchTimeout: time.Millisecond, Compression: kafka.Zstd, ReadTimeout: c.DialTimeout, WriteTimeout: c.DialTimeout,
	}, nil
}

// CloseWriter closes a writer of Config.Writer and its connections.
func CloseWriter(w *kafka.Writer) error {
	err := w.Close()
	if transport, ok := w.Transport.(*kafka.Transport); ok {
		transport.CloseIdleConnections()
	}
	return err
}
