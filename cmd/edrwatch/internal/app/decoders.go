package app

import (
	"fmt"
	"log/slog"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/decode"
)

// sourceDecoders are the decoders of a source that asks a schema registry.
type sourceDecoders struct {
	source string
	*decode.Decoders
}

// name is how checks and readiness call them.
func (d sourceDecoders) name() string { return "schema registry of source " + d.source }

// decoding returns open for the partitions of a source, whose values are decoded
// before they are mapped.
func (a *App) decoding(s config.Source, open pipeline.Opener) (pipeline.Opener, error) {
	d, err := decode.New(s.Decode, decode.Settings{Source: s.Name, Logger: a.log, Metrics: a.registry})
	if err != nil {
		return nil, err
	}
	a.own(d)
	if d.HasRegistry() {
		a.decoders = append(a.decoders, sourceDecoders{s.Name, d})
	}
	return pipeline.Decoding(open, func() (pipeline.Decoder, error) { return d.NewChain() }), nil
}

// DecodersOf returns how values of files are decoded that the sources of a
// configuration delivered, or would deliver: as by the first that asks a schema
// registry, else as by the first.
func DecodersOf(cfg *config.Config) decode.Config {
	for i := range cfg.Sources {
		if cfg.Sources[i].Decode.SchemaRegistry.Enabled() {
			return cfg.Sources[i].Decode
		}
	}
	if len(cfg.Sources) > 0 {
		return cfg.Sources[0].Decode
	}
	return decode.DefaultConfig()
}

// NewDecoder returns a decoder for one run over files, and what releases it.
func NewDecoder(cfg decode.Config, log *slog.Logger) (pipeline.Decoder, func() error, error) {
	d, err := decode.New(cfg, decode.Settings{Source: "files", Logger: log})
	if err != nil {
		return nil, nil, err
	}
	chain, err := d.NewChain()
	if err != nil {
		return nil, nil, fmt.Errorf("decoding files: %w", err)
	}
	return chain, d.Close, nil
}
