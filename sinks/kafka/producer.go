package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// producer writes messages to one topic and returns the outcome of each.
type producer struct {
	cfg       Config
	transport *kafkago.Transport
	dialer    *kafkago.Dialer // for diagnosis
	writer    *kafkago.Writer
}

func codec(name string) (kafkago.Compression, bool) {
	switch name {
	case "none":
		return 0, true
	case "gzip":
		return kafkago.Gzip, true
	case "snappy":
		return kafkago.Snappy, true
	case "lz4":
		return kafkago.Lz4, true
	case "zstd":
		return kafkago.Zstd, true
	}
	return 0, false
}

func newProducer(cfg Config, log *slog.Logger) (*producer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	transport, err := cfg.Transport(log)
	if err != nil {
		return nil, err
	}
	dialer, err := cfg.Dialer(log)
	if err != nil {
		return nil, err
	}
	compression, _ := codec(cfg.Compression)
	return &producer{
		cfg:       cfg,
		transport: transport,
		dialer:    dialer,
		writer: &kafkago.Writer{
			Addr:         kafkago.TCP(cfg.Brokers...),
			Topic:        cfg.Topic,
			Balancer:     &kafkago.Murmur2Balancer{}, // as Java clients: equal keys share a partition with theirs
			RequiredAcks: kafkago.RequireAll,
			// Waiting and trying again is the pipeline's business.
			MaxAttempts:  1,
			BatchSize:    1000,
			BatchBytes:   int64(cfg.MaxMessageBytes),
			BatchTimeout: time.Millisecond,
			ReadTimeout:  cfg.Timeout,
			WriteTimeout: cfg.Timeout,
			Compression:  compression,
			Transport:    transport,
		},
	}, nil
}

// produce writes messages, none of which is above the limit, and returns the
// failure of each (nil: all replicas have it). The messages' bytes may be read
// after produce has returned when ctx ended: they must be the producer's own.
func (p *producer) produce(ctx context.Context, messages []kafkago.Message) []*fault.Error {
	failures := p.attempt(ctx, messages)
	if len(messages) == 1 {
		return failures
	}
	// The broker refuses a batch as a whole when it is too large. Alone, only
	// the message that is too large fails.
	for i, f := range failures {
		if f != nil && f.Reason == fault.TooLarge {
			failures[i] = p.attempt(ctx, messages[i:i+1])[0]
		}
	}
	return failures
}

func (p *producer) attempt(ctx context.Context, messages []kafkago.Message) []*fault.Error {
	failures := make([]*fault.Error, len(messages))
	err := p.writer.WriteMessages(ctx, messages...)
	if err == nil {
		return failures
	}
	var each kafkago.WriteErrors
	perMessage := errors.As(err, &each) && len(each) == len(messages)
	if !perMessage {
		err = p.diagnose(ctx, err)
	}
	for i := range messages {
		if !perMessage {
			failures[i] = p.classify(err)
		} else if each[i] != nil {
			failures[i] = p.classify(each[i])
		}
	}
	return failures
}

// diagnose finds out why no broker answers. The transport hides it: whatever
// is wrong with TLS or SASL, it says "Broker Not Available".
func (p *producer) diagnose(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		// A broker that stops does this, and one that sees garbage.
		return fmt.Errorf("%w: the broker closed the connection (tls.enabled is %v: is that what it expects?)", err, p.cfg.TLS.Enabled)
	}
	if !errors.Is(err, kafkago.BrokerNotAvailable) {
		return err
	}
	for _, broker := range p.cfg.Brokers {
		conn, cause := p.dialer.DialContext(ctx, "tcp", broker)
		if cause == nil {
			_ = conn.Close()
			return err
		}
		err = fmt.Errorf("connecting to %s: %w", broker, cause)
	}
	return err
}

func (p *producer) classify(err error) *fault.Error {
	f := fault.New(fault.Transient, fault.Unavailable, "writing to topic %s: %w", p.cfg.Topic, err)
	var tooLarge kafkago.MessageTooLargeError
	if errors.As(err, &tooLarge) {
		f.Class, f.Reason = fault.Permanent, fault.TooLarge
		return f
	}
	if isTLS(err) {
		f.Class, f.Reason = fault.Operator, fault.Misconfigured
		f.Hint = "check the tls settings: ca_file must hold the authority of the brokers, tls.enabled must be what they expect"
		return f
	}
	var code kafkago.Error
	if !errors.As(err, &code) {
		return f
	}
	switch code {
	case kafkago.MessageSizeTooLarge, kafkago.RecordListTooLarge:
		f.Class, f.Reason = fault.Permanent, fault.TooLarge
	case kafkago.UnknownTopicOrPartition, kafkago.InvalidTopic, kafkago.PolicyViolation, kafkago.InvalidRecord:
		// InvalidRecord is about the topic as well: a compacted topic takes no
		// message without a key.
		f.Class, f.Reason = fault.Operator, fault.Misconfigured
		f.Hint = "create the topic, or correct its name in the configuration"
	case kafkago.TopicAuthorizationFailed, kafkago.ClusterAuthorizationFailed:
		f.Class, f.Reason = fault.Operator, fault.Unauthorized
		f.Hint = "grant Write and Describe on the topic"
	case kafkago.SASLAuthenticationFailed:
		f.Class, f.Reason = fault.Operator, fault.Unauthorized
		f.Hint = "correct sasl.username and sasl.password"
	}
	return f
}

// isTLS reports whether an error comes from the TLS handshake.
func isTLS(err error) bool {
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &verification) || errors.As(err, &record) || errors.As(err, &alert)
}

// check asks the brokers for the topic.
func (p *producer) check(ctx context.Context) error {
	client := kafkago.Client{Addr: p.writer.Addr, Timeout: p.cfg.Timeout, Transport: p.transport}
	meta, err := client.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{p.cfg.Topic}})
	if err != nil {
		return p.classify(p.diagnose(ctx, err))
	}
	for _, topic := range meta.Topics {
		if topic.Error != nil {
			return p.classify(topic.Error)
		}
	}
	return nil
}

func (p *producer) close() error {
	err := p.writer.Close()
	p.transport.CloseIdleConnections()
	return err
}
