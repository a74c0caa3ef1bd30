package decode

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/pipeline/decode/registry"
)

// kind is an encoding. A new one is a file with its decoder and a line here; a
// test then asks for its sample and its words in the README.
type kind struct {
	name string
	make func(*Decoders) (decoder, error)
}

// kinds returns the encodings, in the order in which they are asked.
func kinds() []kind {
	return []kind{
		{"gzip", func(*Decoders) (decoder, error) { return &gunzip{}, nil }},
		{"zstd", func(*Decoders) (decoder, error) { return newUnzstd() }},
		{"cbor", func(*Decoders) (decoder, error) { return newCBOR() }},
		{"avro", func(d *Decoders) (decoder, error) { return &wire{schemas: d.schemas}, nil }},
	}
}

// Names returns the names of the decoders, in the order in which they are asked.
func Names() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

// Settings are what the composition root gives to Decoders.
type Settings struct {
	Source  string // name of the source, in metrics and logs
	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: nothing is counted
	Now     func() time.Time      // default time.Now
}

// Decoders are the decoders of one source. They make a Chain for each partition
// and own what the chains share. Safe for concurrent use.
type Decoders struct {
	names   []string
	schemas *registry.Registry[*schema] // nil: there is none
	records *prometheus.CounterVec
}

// New returns the decoders of a source; it connects to nothing.
func New(cfg Config, set Settings) (*Decoders, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring decoders of source %s: %w", set.Source, err)
	}
	if set.Logger == nil {
		set.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Decoders{names: cfg.enabled(), records: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "edrwatch", Name: "records_decoded_total", ConstLabels: prometheus.Labels{"source": set.Source},
		Help: "Layers taken off values that are not JSON, by decoder and outcome: decoded, failed (the record is dead-lettered), waited (the schema registry could not be asked; the record is tried again).",
	}, []string{"decoder", "outcome"})}
	if set.Metrics != nil {
		if err := set.Metrics.Register(d.records); err != nil {
			return nil, fmt.Errorf("registering metrics of the decoders: %w", err)
		}
	}
	if !cfg.SchemaRegistry.Enabled() {
		return d, nil
	}
	var err error
	d.schemas, err = registry.New(cfg.SchemaRegistry, compile, registry.Settings{
		Source: set.Source, Logger: set.Logger.With("source", set.Source), Metrics: set.Metrics, Now: set.Now,
	})
	return d, err
}

// NewChain returns the decoders of one partition.
func (d *Decoders) NewChain() (*Chain, error) {
	c := &Chain{names: d.names}
	for _, k := range kinds() {
		if !slices.Contains(d.names, k.name) {
			continue
		}
		made, err := k.make(d)
		if err != nil {
			return nil, err
		}
		c.add(made, d.counters(k.name))
	}
	return c, nil
}

// counters makes the series of a decoder exist from the start.
func (d *Decoders) counters(name string) counters {
	return counters{
		decoded: d.records.WithLabelValues(name, "decoded"),
		failed:  d.records.WithLabelValues(name, "failed"),
		waited:  d.records.WithLabelValues(name, "waited"),
	}
}

// HasRegistry reports whether a schema registry is asked.
func (d *Decoders) HasRegistry() bool { return d.schemas != nil }

// Health returns why the schema registry cannot be asked, or nil.
func (d *Decoders) Health(ctx context.Context) error {
	if d.schemas == nil {
		return nil
	}
	return d.schemas.Health(ctx)
}

// Check reports whether the schema registry answers, where there is one.
func (d *Decoders) Check(ctx context.Context) error {
	if d.schemas == nil {
		return nil
	}
	return d.schemas.Check(ctx)
}

// Close ends what was asked of the schema registry. No chain may be used any more.
func (d *Decoders) Close() error {
	if d.schemas == nil {
		return nil
	}
	return d.schemas.Close()
}
