package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/kafkaconn"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Config is what an operator sets of a Kafka sink or a Kafka dead letter.
type Config struct {
	kafkaconn.Config `yaml:",inline"`

	// Topic must exist; edrwatch does not create topics.
	Topic string `yaml:"topic"`
	// MaxMessageBytes is the topic's max.message.bytes or less. What is larger
	// is refused, or cut down when it is a dead letter.
	MaxMessageBytes strict.Bytes `yaml:"max_message_bytes"`
	// Compression is none, gzip, snappy, lz4 or zstd.
	Compression string `yaml:"compression"`
	// Timeout bounds one request to a broker.
	Timeout time.Duration `yaml:"timeout"`
}

// DefaultTopic is where dead letters go by default.
const DefaultTopic = "edr.dead-letter"

// DefaultConfig returns the defaults, which are those of a dead letter.
func DefaultConfig() Config {
	return Config{
		Config:          kafkaconn.DefaultConfig(),
		Topic:           DefaultTopic,
		MaxMessageBytes: 1_000_000,
		Compression:     "zstd",
		Timeout:         30 * time.Second,
	}
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	errs := []error{c.Config.Validate()}
	if c.Topic == "" {
		errs = append(errs, errors.New("topic: expected the name of a topic, found nothing"))
	}
	if c.MaxMessageBytes < minMessageBytes {
		errs = append(errs, fmt.Errorf("max_message_bytes: expected at least %d, found %d", minMessageBytes, c.MaxMessageBytes))
	}
	if _, ok := codec(c.Compression); !ok {
		errs = append(errs, fmt.Errorf("compression: expected none, gzip, snappy, lz4 or zstd, found %q", c.Compression))
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout: expected a duration above 0, found %v", c.Timeout))
	}
	return errors.Join(errs...)
}

// Settings are what the composition root gives to a Sink or a DeadLetter.
type Settings struct {
	Name   string
	Logger *slog.Logger
}
