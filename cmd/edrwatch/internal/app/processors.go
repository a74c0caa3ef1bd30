package app

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/enrich"
	"github.com/edrwatch/edrwatch/pipeline/redact"
)

// Processors are what changes events between mapping and detection.
type Processors struct {
	Enricher *enrich.Enricher
	Redactor *redact.Redactor
}

// NewProcessors makes them from their sections of the configuration. Logger
// and reg may be nil.
func NewProcessors(cfg *config.Config, dict *ecs.Dictionary, log *slog.Logger, reg prometheus.Registerer) (*Processors, error) {
	enricher, err := enrich.New(cfg.Enrich, enrich.Settings{Logger: log, Metrics: reg})
	if err != nil {
		return nil, fmt.Errorf("enrich: %w", err)
	}
	redactor, err := redact.New(cfg.Redact, dict)
	if err != nil {
		return nil, fmt.Errorf("redact: %w", err)
	}
	return &Processors{enricher, redactor}, nil
}

// List returns the processors in the order in which events go through them.
func (p *Processors) List() []pipeline.Processor {
	return []pipeline.Processor{p.Enricher, p.Redactor}
}
