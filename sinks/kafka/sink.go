package kafka

import (
	"context"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// Sink writes documents to a topic: the value is the document, the key is
// agent.id, the headers event.id and stream help who reads it. Kafka knows no
// ids: a document that is sent again is there twice. It is safe for concurrent
// use.
type Sink struct{ producer *producer }

// New returns a sink; it does not connect.
func New(cfg Config, set Settings) (*Sink, error) {
	p, err := newProducer(cfg, set.Logger)
	if err != nil {
		return nil, err
	}
	return &Sink{p}, nil
}

// Write writes docs in one go: see pipeline.Sink.
func (s *Sink) Write(ctx context.Context, docs []*event.Document, results []event.Result) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	messages := make([]kafkago.Message, 0, len(docs))
	of := make([]int, 0, len(docs)) // index of each message's document
	size := 0
	for _, d := range docs {
		size += len(d.Body)
	}
	// The writer may read the bytes after it has returned: they are copied.
	own := make([]byte, 0, size)
	for i, d := range docs {
		start := len(own)
		own = append(own, d.Body...)
		m := kafkago.Message{
			Key:   []byte(d.AgentID),
			Value: own[start:len(own):len(own)],
			Headers: []kafkago.Header{
				{Key: "event.id", Value: []byte(d.ID)},
				{Key: "stream", Value: []byte(d.Stream.String())},
			},
		}
		if bytes := messageSize(&m); bytes > int(s.producer.cfg.MaxMessageBytes) {
			results[i] = event.Result{Outcome: event.Refused, Err: fault.New(fault.Permanent, fault.TooLarge,
				"document of %d bytes is above max_message_bytes (%d)", bytes, s.producer.cfg.MaxMessageBytes)}
			continue
		}
		messages = append(messages, m)
		of = append(of, i)
	}
	if len(messages) == 0 {
		return nil
	}
	var worst *fault.Error
	failed := 0
	for i, f := range s.producer.produce(ctx, messages) {
		switch {
		case f == nil:
			results[of[i]] = event.Result{Outcome: event.Indexed}
		case f.Class == fault.Permanent:
			results[of[i]] = event.Result{Outcome: event.Refused, Err: f}
		default:
			results[of[i]].Err = f
			failed++
			if worst == nil || f.Class > worst.Class {
				worst = f
			}
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if worst == nil {
		return nil
	}
	return &fault.Error{Class: worst.Class, Reason: worst.Reason, Hint: worst.Hint,
		Err: fmt.Errorf("%d of %d documents are not written: %w", failed, len(docs), worst.Err)}
}

// Check reports whether the topic can be reached.
func (s *Sink) Check(ctx context.Context) error { return s.producer.check(ctx) }

// Close ends the connections.
func (s *Sink) Close() error { return s.producer.close() }

// messageSize is what the writer's limit counts of a message, and a margin for
// what the protocol adds.
func messageSize(m *kafkago.Message) int {
	const overhead = 100
	size := overhead + len(m.Key) + len(m.Value)
	for i := range m.Headers {
		size += len(m.Headers[i].Key) + len(m.Headers[i].Value) + 10
	}
	return size
}
