// Package ecs is the dictionary: every field name that a mapping, a rule or a
// document may use, with its type and meaning, and the closed vocabularies of
// their values.
//
// The names are those of the Elastic Common Schema (release in [Version]),
// read from ecs_fields.tsv, and our own under edr.*, read from edr_fields.tsv:
// ECS has no field for an agent's own health, content version, mode or
// resource use. Elasticsearch templates, the Splunk field list, JSON Schemas
// and the documentation are generated from this one table.
//
// A [Dictionary] can be extended by typed names from a file when it is made;
// after that it is immutable and safe for concurrent use.
package ecs

//go:generate go run ./internal/generate -ecs ecs_flat.yml -version 9.4.0
