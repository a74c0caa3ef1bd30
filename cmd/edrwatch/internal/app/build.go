package app

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/sinks/elasticsearch"
	filesink "github.com/edrwatch/edrwatch/sinks/file"
	kafkasink "github.com/edrwatch/edrwatch/sinks/kafka"
	"github.com/edrwatch/edrwatch/sinks/splunk"
	"github.com/edrwatch/edrwatch/sinks/store"
	filesource "github.com/edrwatch/edrwatch/sources/file"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
)

// builder makes components from their settings. There is one case per type,
// and a type that is not here does not exist.
type builder struct {
	cfg     *config.Config
	log     *slog.Logger
	reg     prometheus.Registerer
	dict    *ecs.Dictionary
	roots   []string             // vendors' top-level objects
	horizon func() time.Duration // how far back state is rebuilt
	health  func(source string, err error)
	stdout  io.Writer
}

func (b *builder) source(s config.Source) (pipeline.Source, error) {
	switch cfg := s.Settings.(type) {
	case *kafkasource.Config:
		taken := *cfg
		taken.Cluster = cmp.Or(taken.Cluster, b.cfg.Cluster)
		return kafkasource.New(taken, kafkasource.Settings{
			Name: s.Name, Logger: b.log, Metrics: b.reg, Horizon: b.horizon, Except: b.cfg.OwnTopics(cfg.Brokers),
			Health: func(err error) { b.health(s.Name, err) },
		})
	case *filesource.Config:
		return filesource.New(*cfg, filesource.Settings{Name: s.Name, Logger: b.log, Metrics: b.reg})
	}
	return nil, fmt.Errorf("source %s: type %q cannot be built", s.Name, s.Type)
}

func (b *builder) sink(s config.Sink) (pipeline.Sink, error) {
	log := b.log.With("sink", s.Name)
	switch cfg := s.Settings.(type) {
	case *elasticsearch.Config:
		return elasticsearch.New(*cfg, elasticsearch.Settings{Name: s.Name, Logger: log, Metrics: b.reg})
	case *splunk.Config:
		return splunk.New(*cfg, splunk.Settings{Name: s.Name, Logger: log, Metrics: b.reg})
	case *kafkasink.Config:
		return kafkasink.New(*cfg, kafkasink.Settings{Name: s.Name, Logger: log})
	case *filesink.Config:
		return filesink.New(*cfg, filesink.Settings{Name: s.Name, Logger: log, Stdout: b.stdout})
	case *store.Config:
		return store.New(*cfg, store.Settings{Name: s.Name, Logger: log, Metrics: b.reg, Dictionary: b.dict, VendorRoots: b.roots})
	}
	return nil, fmt.Errorf("sink %s: type %q cannot be built", s.Name, s.Type)
}

func (b *builder) deadLetter(d config.DeadLetter) (pipeline.DeadLetter, error) {
	log := b.log.With("sink", "dead_letter")
	switch cfg := d.Settings.(type) {
	case *kafkasink.Config:
		return kafkasink.NewDeadLetter(*cfg, kafkasink.Settings{Name: "dead_letter", Logger: log})
	case *filesink.Config:
		return filesink.NewDeadLetter(*cfg, filesink.Settings{Name: "dead_letter", Logger: log, Stdout: b.stdout}, false)
	}
	return nil, fmt.Errorf("dead_letter: type %q cannot be built", d.Type)
}
