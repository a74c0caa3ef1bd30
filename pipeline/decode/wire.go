package decode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/edrwatch/edrwatch/pipeline/decode/internal/avrojson"
	"github.com/edrwatch/edrwatch/pipeline/decode/registry"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// wireHead is the length of what Confluent's serializers write before a value: a
// zero byte and the id of the schema, big-endian.
const wireHead = 5

// schema says how values with its id are read.
type schema struct {
	avro *avrojson.Plan // nil: they are JSON as they are
}

// compile makes a schema of what the registry has.
func compile(d *registry.Definition) (*schema, error) {
	switch d.Type {
	case "JSON":
		return &schema{}, nil
	case "AVRO":
		plan, err := avrojson.Compile(d.Schemas...)
		if err != nil {
			return nil, err
		}
		return &schema{avro: plan}, nil
	}
	return nil, fmt.Errorf("it is of type %s: expected AVRO or JSON", d.Type)
}

// wire decodes values in Confluent's wire format.
type wire struct {
	schemas *registry.Registry[*schema] // nil: there is none, which is said
	id      int32
	last    *schema // of id: the records of a topic have few schemas
}

func (w *wire) first() []byte { return []byte{0} }

func (w *wire) detect(value []byte) bool { return value[0] == 0 && len(value) >= wireHead }

func (w *wire) append(ctx context.Context, dst, value []byte) ([]byte, error) {
	id := int32(binary.BigEndian.Uint32(value[1:wireHead]))
	if id < 0 {
		return dst, undecodable("avro", fmt.Errorf("the value names schema %d, which no registry has", id))
	}
	if w.schemas == nil {
		return dst, fault.New(fault.Permanent, fault.Undecodable, "decoding avro: the value begins as in Confluent's wire format (schema %d), and there is no schema registry", id).
			WithHint("set schema_registry.urls of its source")
	}
	if w.last == nil || w.id != id {
		s, err := w.schemas.Schema(ctx, id)
		if err != nil {
			return dst, fmt.Errorf("decoding avro: %w", err)
		}
		w.id, w.last = id, s
	}
	if w.last.avro == nil {
		if len(value)-wireHead > maxDecoded {
			return dst, tooLarge("avro")
		}
		return append(dst, value[wireHead:]...), nil
	}
	out, err := w.last.avro.Append(dst, value[wireHead:], maxDecoded)
	switch {
	case errors.Is(err, avrojson.ErrTooLarge):
		return out, tooLarge("avro")
	case err != nil:
		return out, undecodable("avro", fmt.Errorf("schema %d: %w", id, err))
	}
	return out, nil
}
