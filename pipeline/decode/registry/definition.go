package registry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// maxReferences bounds the schemas that one schema needs, itself included.
const maxReferences = 100

// Definition is a schema with all that it refers to.
type Definition struct {
	ID   int32
	Type string // AVRO, JSON or PROTOBUF
	// Schemas are texts in the language of the type: of AVRO each after those that
	// it refers to, the schema itself last; of others the schema alone.
	Schemas []string
}

// found is a schema as the registry gives it. Without a type it is AVRO.
type found struct {
	Schema     string      `json:"schema"`
	Type       string      `json:"schemaType"`
	References []reference `json:"references"`
}

// reference names a version of another schema.
type reference struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// define asks for a schema and, if it is AVRO, for all that it refers to.
func (c *client) define(ctx context.Context, id int32) (*Definition, error) {
	var root found
	if err := c.get(ctx, &root, "schemas", "ids", strconv.Itoa(int(id))); err != nil {
		return nil, about(id, err)
	}
	d := &Definition{ID: id, Type: root.Type}
	if d.Type == "" {
		d.Type = "AVRO"
	}
	if root.Schema == "" {
		return nil, about(id, fault.New(fault.Transient, fault.Garbled, "the schema registry answered without a schema"))
	}
	if d.Type != "AVRO" {
		d.Schemas = []string{root.Schema}
		return d, nil // Values of other types are not read by their schemas.
	}
	known := map[reference]bool{}
	if err := c.collect(ctx, d, root, known); err != nil {
		return nil, about(id, err)
	}
	return d, nil
}

// collect appends a schema after those that it refers to. Each is asked for once,
// so that schemas that refer to each other come to an end, too.
func (c *client) collect(ctx context.Context, d *Definition, of found, known map[reference]bool) error {
	for _, r := range of.References {
		if known[r] {
			continue
		}
		known[r] = true
		if len(known) >= maxReferences {
			return fault.New(fault.Permanent, fault.UnknownSchema, "it refers to more than %d others", maxReferences)
		}
		var next found
		if err := c.get(ctx, &next, "subjects", url.PathEscape(r.Subject), "versions", strconv.Itoa(r.Version)); err != nil {
			return fmt.Errorf("version %d of subject %q, to which it refers: %w", r.Version, r.Subject, err)
		}
		if err := c.collect(ctx, d, next, known); err != nil {
			return err
		}
	}
	d.Schemas = append(d.Schemas, of.Schema)
	return nil
}

// about says of which schema an error is, and keeps its class.
func about(id int32, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	named := *f
	named.Err, named.Hint = fmt.Errorf("schema %d: %w", id, err), ""
	return &named
}
