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
	"github.com/edrwatch/edrwatch/rules/fleet/identity"
)

// Processors are what changes events between mapping and detection.
type Processors struct {
	Enricher *enrich.Enricher
	Redactor *redact.Redactor
	// Registry knows the names of agents and hosts.
	Registry *identity.Registry
	// Identifier fills events in from the registry and, through the enricher, from
	// the user's files.
	Identifier *identity.Identifier
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
	registry := identity.New(cfg.Identity)
	if reg != nil {
		if err := reg.Register(registryMetrics{registry}); err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
	}
	return &Processors{enricher, redactor, registry, identity.NewIdentifier(registry, enricher, nil)}, nil
}

// Apart returns the same processors with a registry that knows no name yet: for
// another fleet, whose hosts may be called alike.
func (p *Processors) Apart(cfg identity.Config) *Processors {
	registry := identity.New(cfg)
	return &Processors{p.Enricher, p.Redactor, registry, identity.NewIdentifier(registry, p.Enricher, nil)}
}

// List returns the processors in the order in which events go through them.
func (p *Processors) List() []pipeline.Processor {
	return []pipeline.Processor{identifying{p.Identifier}, p.Redactor}
}

// identifying makes the identifier of each shard a processor.
type identifying struct{ *identity.Identifier }

// ForShard implements pipeline.PerShard.
func (i identifying) ForShard() pipeline.Processor { return i.Identifier.ForShard() }

// registryMetrics tells how much the registry knows.
type registryMetrics struct{ registry *identity.Registry }

// registryGauges are its metrics, in the order of Collect.
func registryGauges() []*prometheus.Desc {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName("edrwatch", "identity", name), help, nil, nil)
	}
	return []*prometheus.Desc{
		desc("names", "Names of agents and hosts that are known."),
		desc("agents", "Agents that are known by an id, or by their host."),
		desc("links", "Names that are known to belong together."),
		desc("contradictions", "Names that contradict each other now: one id on several hosts, several ids on one host."),
		desc("facts_total", "Facts about names that were applied."),
		desc("refused_total", "Facts about names for which there was no room."),
		desc("evicted_total", "Names that were forgotten because there were too many: those that were not seen for longest."),
		desc("shared_total", "Names that link nothing any more because too many agents or hosts have them."),
	}
}

// Describe implements prometheus.Collector.
func (m registryMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range registryGauges() {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m registryMetrics) Collect(to chan<- prometheus.Metric) {
	s := m.registry.Stats()
	_, contradictions := m.registry.Contradictions(0)
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	for i, v := range [...]struct {
		kind  prometheus.ValueType
		value float64
	}{
		{gauge, float64(s.Names)}, {gauge, float64(s.Agents)}, {gauge, float64(s.Links)}, {gauge, float64(contradictions)},
		{counter, float64(s.Applied)}, {counter, float64(s.Refused)}, {counter, float64(s.Evicted)}, {counter, float64(s.Shared)},
	} {
		to <- prometheus.MustNewConstMetric(registryGauges()[i], v.kind, v.value)
	}
}
