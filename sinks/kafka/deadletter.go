package kafka

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// HeaderPrefix begins the names of the headers that a dead letter adds to the
// record's own: topic, partition, offset, timestamp (milliseconds since 1970),
// stage, reason, detail; and, when it was too large for the topic and had to
// be cut, truncated (bytes of the original), sha256 (of the original).
const HeaderPrefix = "edrwatch.dlq."

const (
	minMessageBytes = 16 << 10 // room for a stub
	stubBytes       = 4 << 10  // of an original that is cut
	detailBytes     = 2 << 10
	keyBytes        = 1 << 10 // a longer key is cut in a stub
)

// DeadLetter keeps dead letters in a topic. It is safe for concurrent use.
type DeadLetter struct{ producer *producer }

// NewDeadLetter returns a dead letter; it does not connect.
func NewDeadLetter(cfg Config, set Settings) (*DeadLetter, error) {
	p, err := newProducer(cfg, set.Logger)
	if err != nil {
		return nil, err
	}
	return &DeadLetter{p}, nil
}

// Bury writes all letters and returns when all in-sync replicas have them. A
// letter that is too large for the topic is cut; every other failure is an
// error.
func (d *DeadLetter) Bury(ctx context.Context, dead []event.Dead) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(dead) == 0 {
		return nil
	}
	messages := make([]kafkago.Message, len(dead))
	for i := range dead {
		messages[i] = letter(&dead[i])
		if messageSize(&messages[i]) > int(d.producer.cfg.MaxMessageBytes) {
			messages[i] = stub(&dead[i])
		}
	}
	var worst *fault.Error
	for i, f := range d.producer.produce(ctx, messages) {
		if f != nil && f.Reason == fault.TooLarge {
			// The topic's limit is below the configured one.
			f = d.producer.attempt(ctx, []kafkago.Message{stub(&dead[i])})[0]
		}
		if f != nil && (worst == nil || f.Class > worst.Class) {
			worst = f
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if worst == nil {
		return nil
	}
	return fmt.Errorf("keeping %d dead letters: %w", len(dead), worst)
}

// Check reports whether the topic can be reached.
func (d *DeadLetter) Check(ctx context.Context) error { return d.producer.check(ctx) }

// Close ends the connections.
func (d *DeadLetter) Close() error { return d.producer.close() }

// letter returns the record with the reason in its headers. The bytes are
// copied: the writer may read them after it has returned.
func letter(l *event.Dead) kafkago.Message {
	m := kafkago.Message{Key: bytes.Clone(l.Key), Value: bytes.Clone(l.Original)}
	for _, h := range l.Headers {
		// Those of an earlier burial go: a record that was sent back and died
		// again tells about this time.
		if !strings.HasPrefix(h.Key, HeaderPrefix) {
			m.Headers = append(m.Headers, kafkago.Header{Key: h.Key, Value: bytes.Clone(h.Value)})
		}
	}
	m.Headers = append(m.Headers, reasons(l)...)
	return m
}

// stub returns what a topic with a low limit can keep: why, from where, the
// beginning, and the means to recognise the original.
func stub(l *event.Dead) kafkago.Message {
	sum := sha256.Sum256(l.Original)
	m := kafkago.Message{
		Key:     bytes.Clone(l.Key[:min(len(l.Key), keyBytes)]),
		Value:   bytes.Clone(l.Original[:min(len(l.Original), stubBytes)]),
		Headers: reasons(l),
	}
	m.Headers = append(m.Headers,
		kafkago.Header{Key: HeaderPrefix + "truncated", Value: strconv.AppendInt(nil, int64(len(l.Original)), 10)},
		kafkago.Header{Key: HeaderPrefix + "sha256", Value: []byte(hex.EncodeToString(sum[:]))})
	return m
}

func reasons(l *event.Dead) []kafkago.Header {
	detail := l.Detail
	if len(detail) > detailBytes {
		detail = detail[:detailBytes]
		for !utf8.ValidString(detail) && len(detail) > detailBytes-utf8.UTFMax {
			detail = detail[:len(detail)-1]
		}
	}
	var headers []kafkago.Header
	add := func(name, value string) {
		headers = append(headers, kafkago.Header{Key: HeaderPrefix + name, Value: []byte(value)})
	}
	add("topic", l.Partition.Topic)
	add("partition", strconv.Itoa(int(l.Partition.Number)))
	add("offset", strconv.FormatInt(l.Offset, 10))
	add("timestamp", strconv.FormatInt(l.Time, 10))
	add("stage", l.Stage)
	add("reason", l.Reason)
	add("detail", detail)
	return headers
}
