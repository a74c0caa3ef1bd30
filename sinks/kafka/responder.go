package kafka

import (
	"context"
	"encoding/json"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/respond"
)

// DefaultResponseTopic is where acts go by default.
const DefaultResponseTopic = "edr.responses"

// DefaultResponderConfig returns the defaults of a Responder.
func DefaultResponderConfig() Config {
	cfg := DefaultConfig()
	cfg.Topic = DefaultResponseTopic
	return cfg
}

// Responder writes acts to a topic, for a SOAR or a worker before a vendor's
// console: the value is the act, the key is the product, so that what concerns
// one product stays in order, the header edrwatch.response.id is the act's id.
// Kafka knows no ids: an act may be there twice. It is safe for concurrent use.
type Responder struct{ producer *producer }

// NewResponder returns a responder; it does not connect.
func NewResponder(cfg Config, set Settings) (*Responder, error) {
	p, err := newProducer(cfg, set.Logger)
	if err != nil {
		return nil, err
	}
	return &Responder{p}, nil
}

// Send implements respond.Responder: it returns when all in-sync replicas have
// the act.
func (r *Responder) Send(ctx context.Context, a *respond.Act) (int, error) {
	value, err := json.Marshal(a)
	if err != nil {
		return 0, fault.New(fault.Permanent, fault.Internal, "encoding an act: %v", err)
	}
	m := kafkago.Message{Key: []byte(a.Subject.Product), Value: value, Headers: []kafkago.Header{{Key: "edrwatch.response.id", Value: []byte(a.ID)}}}
	if bytes := messageSize(&m); bytes > int(r.producer.cfg.MaxMessageBytes) {
		return 0, fault.New(fault.Permanent, fault.TooLarge, "act of %d bytes is above max_message_bytes (%d)", bytes, r.producer.cfg.MaxMessageBytes)
	}
	if f := r.producer.produce(ctx, []kafkago.Message{m})[0]; f != nil {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return 0, f
	}
	return 0, nil
}

// Check reports whether the topic can be reached.
func (r *Responder) Check(ctx context.Context) error { return r.producer.check(ctx) }

// Close ends the connections.
func (r *Responder) Close() error { return r.producer.close() }
